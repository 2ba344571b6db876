//! Walks a parsed TOML document, notes every mistake with its place and goes on.
//!
//! A check that fails leaves a [`Finding`] behind and answers with [`Reported`], which nothing else can make: what reads
//! several keys reads them all first and only then gives up.

use std::{cell::RefCell, collections::BTreeSet, ops::Range};

use toml::de::DeTable;

use super::{
    diagnostic::{ConfigErrorKind, Finding},
    entry::Entry,
};
use crate::limits;

/// Proof that a finding was noted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

/// A value, or the proof that what is wrong with it was noted.
pub(super) type Checked<T> = Result<T, Reported>;

/// The findings of one file.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    findings: RefCell<Vec<Finding>>,
    /// Keys that no table asked for; explained at the end, when it is known where they would belong.
    strangers: RefCell<Vec<Stranger>>,
    /// Every key that was asked for, by the pattern of its table.
    known: RefCell<BTreeSet<(String, &'static str)>>,
}

/// A key that no table asked for.
#[derive(Debug)]
struct Stranger {
    key: String,
    path: String,
    pattern: String,
    span: Range<usize>,
}

impl Diagnostics {
    /// Notes a finding.
    pub(super) fn report(&self, finding: Finding) -> Reported {
        self.findings.borrow_mut().push(finding);
        Reported(())
    }

    /// Every key that the reader knows, in full, with `NAME` for the name of a site.
    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.known
            .borrow()
            .iter()
            .map(|(pattern, key)| join(pattern, key))
            .collect()
    }

    /// All findings, the unknown keys among them.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let known = self.known.into_inner();
        let mut findings = self.findings.into_inner();
        let mut strangers = self.strangers.into_inner();
        strangers.sort_by_key(|stranger| stranger.span.start);
        // One more than are told, so that it shows that there are more.
        let told = strangers.iter().take(limits::CONFIG_ERRORS + 1);
        findings.extend(told.map(|stranger| stranger.finding(&known)));
        findings
    }
}

impl Stranger {
    fn finding(&self, known: &BTreeSet<(String, &'static str)>) -> Finding {
        let here: Vec<&str> = known
            .iter()
            .filter(|(pattern, _)| *pattern == self.pattern)
            .map(|(_, key)| *key)
            .collect();
        let elsewhere = known
            .iter()
            .find(|(_, key)| *key == self.key)
            .map(|(pattern, _)| pattern);
        let advice = match (elsewhere, closest(&self.key, &here)) {
            (Some(pattern), _) if pattern.is_empty() => {
                format!(
                    "`{}` belongs at the top of the file, above the first `[table]`",
                    shown(&self.key)
                )
            }
            (Some(pattern), None) => format!("`{}` belongs in `{pattern}`", shown(&self.key)),
            (_, Some(key)) => format!("did you mean `{key}`?"),
            (None, None) => "remove it".to_owned(),
        };
        let place = if self.pattern.is_empty() {
            "at the top of the file".to_owned()
        } else {
            format!("in `{}`", self.pattern)
        };
        let list: Vec<String> = here.iter().map(|key| format!("`{key}`")).collect();
        Finding {
            kind: ConfigErrorKind::UnknownKey,
            key: self.path.clone(),
            span: self.span.clone(),
            message: format!("unknown key `{}`", shown(&self.key)),
            label: None,
            hint: format!("{advice}\nkeys {place}: {}", list.join(", ")),
            related: None,
        }
    }
}

/// The one of `candidates` that `text` is most likely a misspelling of.
pub(super) fn closest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    /// What is longer is a misspelling of nothing, and slow to compare.
    const MOST: usize = 64;
    if text.len() > MOST {
        return None;
    }
    let plain = text.to_lowercase().replace('-', "_");
    candidates
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&plain, &candidate.to_lowercase()),
                *candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `text` fit for a message: nothing that a terminal would obey, and not endless.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let visible: String = text
        .chars()
        .take(MOST)
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        visible + "…"
    } else {
        visible
    }
}

/// The full name of `key` in the table `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A table that is read key by key.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    diagnostics: &'d Diagnostics,
    /// `None` where the table is left out: every key of it is then at its default.
    table: Option<&'d DeTable<'d>>,
    path: String,
    /// The path with `NAME` for the name of a site.
    pattern: String,
    span: Range<usize>,
    taken: BTreeSet<&'static str>,
}

impl<'d> Reader<'d> {
    /// Reads `table`, which stands at `span` under the name `path`.
    pub(super) fn new(
        diagnostics: &'d Diagnostics,
        table: Option<&'d DeTable<'d>>,
        (path, pattern): (String, String),
        span: Range<usize>,
    ) -> Self {
        Self {
            diagnostics,
            table,
            path,
            pattern,
            span,
            taken: BTreeSet::new(),
        }
    }

    /// The value of `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'d>> {
        self.taken.insert(key);
        self.diagnostics.known.borrow_mut().insert((self.pattern.clone(), key));
        let value = self.table?.get(key)?;
        Some(Entry::new(self.diagnostics, key, &self.path, value))
    }

    /// What `read` makes of the value of `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Entry<'d>) -> Checked<T>,
    ) -> Checked<Option<T>> {
        self.take(key).map(|entry| read(&entry)).transpose()
    }

    /// What `read` makes of the value of `key`, or `default`.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Entry<'d>) -> Checked<T>,
    ) -> Checked<T> {
        Ok(self.optional(key, read)?.unwrap_or(default))
    }

    /// What `read` makes of the value of `key`, which has to be there; `example` is a value that it could have.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Entry<'d>) -> Checked<T>,
    ) -> Checked<T> {
        match self.take(key) {
            Some(entry) => read(&entry),
            None => Err(self.missing(&format!("`{key}`"), &format!("add `{key} = {example}`"))),
        }
    }

    /// Notes that something is missing in the table.
    pub(super) fn missing(&self, what: &str, hint: &str) -> Reported {
        self.diagnostics.report(Finding {
            kind: ConfigErrorKind::Missing,
            key: self.path.clone(),
            span: self.span.clone(),
            message: format!("{what} is missing in `{}`", shown(&self.path)),
            label: Some("needed here".to_owned()),
            hint: hint.to_owned(),
            related: None,
        })
    }

    /// The table under `key`; one without any key if it is left out.
    pub(super) fn table(&mut self, key: &'static str, example: &str) -> Checked<Self> {
        let names = (join(&self.path, key), join(&self.pattern, key));
        let (table, span) = match self.take(key) {
            Some(entry) => (Some(entry.table(example)?), entry.span()),
            None => (None, self.span.clone()),
        };
        Ok(Self::new(self.diagnostics, table, names, span))
    }

    /// Whether the table stands in the file.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Notes every key that nothing asked for.
    pub(super) fn finish(self) {
        let table = self.table.into_iter().flat_map(|table| table.iter());
        for (key, _) in table.filter(|(key, _)| !self.taken.contains(key.get_ref().as_ref())) {
            self.diagnostics.strangers.borrow_mut().push(Stranger {
                key: key.get_ref().to_string(),
                path: join(&self.path, key.get_ref()),
                pattern: self.pattern.clone(),
                span: key.span(),
            });
        }
    }
}
