//! Whatever is read from outside gets an answer: no panic, no endless work, no memory without a limit, and every mistake
//! has a place within the text. What is read, written and read again is the same.
//!
//! The documents in `tests/corpus` are read as they are and damaged at random. More rounds: `PROPTEST_CASES=100000 cargo
//! test -p reconcile-core --test fuzz`.
#![expect(clippy::unwrap_used, reason = "everything here is a test")]

mod cost;
mod damage;
mod documents;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use reconcile_core::{
    config::Config,
    limits,
    plan::{Plan, PlanFile, PlanFileError},
    state::{State, StateError},
};

use damage::{cut, damaged, nested};
use documents::{json, toml};

/// What reads a sort of document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader {
    Config,
    State,
    Plan,
    PlanFile,
}

impl Reader {
    const ALL: [Self; 4] = [Self::Config, Self::State, Self::Plan, Self::PlanFile];

    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Config => "config",
            Self::State => "state",
            Self::Plan => "plan",
            Self::PlanFile => "plan_file",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/corpus")
            .join(name)
    }

    /// Reads a text; whether it was accepted.
    pub(crate) fn read(self, text: &str) -> bool {
        match self {
            Self::Config => config(text),
            Self::State => state(text),
            Self::Plan => plan(text),
            Self::PlanFile => plan_file(text),
        }
    }
}

fn config(text: &str) -> bool {
    let Err(errors) = Config::read("x.toml", text) else {
        return true;
    };
    let count = errors.iter().count();
    assert!(
        (1..=limits::CONFIG_ERRORS).contains(&count),
        "{count} mistakes are told"
    );
    for error in &errors {
        let lines = text.matches('\n').count() + 1;
        assert!((1..=lines).contains(&error.line()), "line {} of {lines}", error.line());
        let line = text.split('\n').nth(error.line() - 1).unwrap_or_default();
        assert!((1..=line.chars().count() + 1).contains(&error.column()), "{error:?}");
        assert!(text.get(error.span()).is_some(), "{error:?}");
        assert!(!error.message().is_empty() && !error.hint().is_empty());
        assert!(
            error.message().len() + error.hint().len() < 4096,
            "a message is short: {error:?}"
        );
    }
    false
}

fn state(text: &str) -> bool {
    match State::read(text) {
        Ok(state) => {
            let written = state.write().unwrap();
            assert_eq!(State::read(&written).unwrap(), state);
            true
        }
        Err(StateError::Damaged { line, column, message }) => {
            // The serialiser counts the end of the text as a line of its own.
            assert!(line <= text.matches('\n').count() + 2, "line {line}");
            assert!(column <= text.len() + 1, "column {column}");
            assert!(!message.is_empty());
            false
        }
        Err(StateError::TooNew { found }) => {
            assert!(found > reconcile_core::state::FORMAT_VERSION);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn plan(text: &str) -> bool {
    let Ok(plan) = serde_json::from_str::<Plan>(text) else {
        return false;
    };
    let written = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), plan);
    true
}

fn plan_file(text: &str) -> bool {
    match PlanFile::read(text) {
        Ok(file) => {
            let written = file.write().unwrap();
            assert_eq!(PlanFile::read(&written).unwrap(), file);
            true
        }
        Err(PlanFileError::Damaged { line, column, message }) => {
            // The serialiser counts the end of the text as a line of its own.
            assert!(line <= text.matches('\n').count() + 2, "line {line}");
            assert!(column <= text.len() + 1, "column {column}");
            assert!(!message.is_empty());
            false
        }
        Err(_) => false,
    }
}

/// The documents of the corpus: their names, and what they hold. What is not UTF-8 is read as the program would be able
/// to: with replacements.
fn corpus(reader: Reader) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(reader.folder()).unwrap();
    let mut documents: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (
                name,
                String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
            )
        })
        .collect();
    documents.sort();
    documents
}

#[test]
fn the_corpus_is_read_as_its_names_say() {
    for reader in Reader::ALL {
        let documents = corpus(reader);
        assert!(documents.len() >= 4, "{reader:?} has a corpus");
        for (name, text) in documents {
            let is_accepted = reader.read(&text);
            assert_eq!(is_accepted, !name.starts_with("bad-"), "{reader:?}: {name}");
        }
    }
}

#[test]
fn what_is_too_long_is_refused_up_front() {
    let long = format!("# {}\n", "x".repeat(limits::CONFIG_BYTES));
    let errors = Config::read("x.toml", &long).unwrap_err();
    assert!(errors.iter().next().unwrap().message().contains("bytes"), "{errors}");
    let long = format!("{{{}", " ".repeat(limits::STATE_BYTES));
    let error = State::read(&long).unwrap_err().to_string();
    assert!(error.contains("bytes"), "{error}");
}

#[test]
fn what_is_nested_deeply_gets_an_answer() {
    for reader in Reader::ALL {
        for depth in [10, 127, 128, 129, 1000, 20_000] {
            for text in nested(depth) {
                assert!(!reader.read(&text), "{reader:?}: nested {depth} times");
            }
        }
    }
}

#[test]
fn no_document_is_whole_when_it_is_cut() {
    for reader in [Reader::State, Reader::Plan, Reader::PlanFile] {
        for (name, text) in corpus(reader) {
            if !name.starts_with("bad-") {
                for short in cut(&text) {
                    assert!(!reader.read(short), "{name} cut to {} bytes", short.len());
                }
            }
        }
    }
    for (_, text) in corpus(Reader::Config) {
        for short in cut(&text) {
            Reader::Config.read(short);
        }
    }
}

fn any_reader() -> impl Strategy<Value = Reader> {
    prop::sample::select(Reader::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_an_answer(reader in any_reader(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        reader.read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_documents_get_an_answer((reader, text) in any_reader().prop_flat_map(|reader| {
        let texts = corpus(reader).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        (Just(reader), prop::sample::select(texts).prop_flat_map(damaged))
    })) {
        reader.read(&text);
    }

    #[test]
    fn documents_of_the_right_sort_get_an_answer(text in toml()) {
        Reader::Config.read(&text);
    }

    #[test]
    fn json_documents_get_an_answer(reader in any_reader(), text in json()) {
        reader.read(&text);
    }

    #[test]
    fn values_in_the_wrong_places_get_an_answer(
        reader in prop::sample::select(vec![Reader::State, Reader::Plan, Reader::PlanFile]),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in json(),
    ) {
        let documents = corpus(reader);
        let (_, text) = which.get(&documents);
        if let Ok(mut document) = serde_json::from_str::<serde_json::Value>(text) {
            documents::replace(&mut document, place, &value);
            reader.read(&document.to_string());
        }
    }
}
