//! Whatever stands in a file: an answer, never a panic, and every mark inside the text.

use miette::Diagnostic;
use proptest::{prelude::*, sample::Index};

use super::*;

const EXAMPLE: &str = include_str!("../../../../../config.example.toml");

/// The example with every line that says something, so that mutations reach every check.
fn full() -> String {
    EXAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix("#+ ")
                .or_else(|| line.strip_prefix('#'))
                .unwrap_or(line)
        })
        .filter(|line| line.contains(" = ") && !line.starts_with(' ') || line.starts_with('['))
        .collect::<Vec<_>>()
        .join("\n")
}

fn check(text: &str) {
    let Err(errors) = Config::read("x.toml", text) else {
        return;
    };
    assert!(errors.iter().count() > 0);
    for error in &errors {
        assert!(text.get(error.span()).is_some(), "{error:?}");
        assert!(error.line() >= 1 && error.line() <= text.matches('\n').count() + 1);
        assert!(!error.message().is_empty() && !error.hint().is_empty());
        for label in error.labels().unwrap() {
            assert!(
                text.get(label.offset()..label.offset() + label.len()).is_some(),
                "{label:?}"
            );
        }
    }
    let shown = render(&errors);
    assert!(shown.contains("x.toml:"), "{shown}");
}

/// Pieces that mean something to the parser or to a check.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\"",
            "'",
            "\"\"\"",
            "'''",
            "[",
            "]",
            "[[",
            "{",
            "}",
            "=",
            ",",
            ".",
            "#",
            "\n",
            "\r\n",
            "\r",
            "\\",
            "\0",
            "\u{feff}",
            "\u{1b}",
            "ü",
            "\u{202e}",
            "-",
            "*",
            "_",
            "true",
            "1979-05-27",
            "0x1F",
            "1e3",
            "inf",
            "\t",
            "[site.www]",
            "site.www.domain = ",
            "site = ",
            "[[site]]",
            "health.",
            "= 80",
            "\"http\"",
            "99999999999999999999",
            "\"5xx\"",
            "\"a.local\"",
            "\\u0000",
            "\\x1b",
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces_get_an_answer(pieces in prop::collection::vec(piece(), 0..24)) {
        check(&pieces.concat());
    }

    #[test]
    fn a_damaged_file_gets_an_answer(
        damage in prop::collection::vec((any::<Index>(), 0..6_usize, piece()), 1..4),
    ) {
        let mut characters: Vec<char> = full().chars().collect();
        for (place, removed, piece) in damage {
            let start = place.index(characters.len() + 1);
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, piece.chars());
        }
        check(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn shuffled_lines_get_an_answer(lines in Just(full().lines().map(str::to_owned).collect::<Vec<_>>()).prop_shuffle()) {
        check(&lines.join("\n"));
    }
}
