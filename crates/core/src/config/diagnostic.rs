//! What is wrong with a configuration, and where: data that a command renders as text with carets or as JSON.

use std::{ops::Range, sync::Arc};

use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use thiserror::Error;

use crate::limits;

/// The longest piece of a file that is shown around a mistake; longer lines are no lines that somebody wrote.
const MOST_SHOWN: usize = 4096;

/// Everything that is wrong with one configuration file; at least one error, in the order of the file.
#[derive(Debug, Clone, Error)]
#[error("`{}` has {}", self.source_name(), self.count())]
pub struct ConfigErrors {
    file: Arc<SourceFile>,
    errors: Vec<ConfigError>,
    /// There are more than are told.
    are_cut: bool,
}

/// One thing that is wrong with a configuration file.
#[derive(Debug, Clone, Error)]
#[error("{}", self.finding.message)]
pub struct ConfigError {
    file: Arc<SourceFile>,
    finding: Finding,
}

/// The sort of a configuration error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigErrorKind {
    /// The file is not TOML.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// A value of another type than the key's.
    WrongType,
    /// A key that has to be there is not.
    Missing,
    /// A value that the key cannot have.
    Invalid,
    /// Two values that cannot stand together.
    Conflict,
}

/// An error before it knows its file.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) kind: ConfigErrorKind,
    /// Full name of the key, such as `site.www.health.path`; empty at the top of the file.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    /// What stands at the caret.
    pub(super) label: Option<String>,
    pub(super) hint: String,
    /// Another place in the file that has to do with it.
    pub(super) related: Option<(Range<usize>, String)>,
}

impl ConfigErrors {
    /// Puts `findings`, of which there is at least one, into the order of the file.
    pub(super) fn new(source_name: &str, text: &str, mut findings: Vec<Finding>) -> Self {
        let file = Arc::new(SourceFile {
            name: source_name.to_owned(),
            text: text.to_owned(),
        });
        for finding in &mut findings {
            finding.span = file.clamp(&finding.span);
            if let Some((span, _)) = &mut finding.related {
                *span = file.clamp(span);
            }
        }
        findings.sort_by(|a, b| (a.span.start, a.kind, &a.message).cmp(&(b.span.start, b.kind, &b.message)));
        let are_cut = findings.len() > limits::CONFIG_ERRORS;
        findings.truncate(limits::CONFIG_ERRORS);
        let errors = findings
            .into_iter()
            .map(|finding| ConfigError {
                file: Arc::clone(&file),
                finding,
            })
            .collect();
        Self { file, errors, are_cut }
    }

    /// The file is longer than any configuration.
    pub(super) fn too_long(source_name: &str, text: &str) -> Self {
        let finding = Finding {
            kind: ConfigErrorKind::Syntax,
            key: String::new(),
            span: 0..0,
            message: format!(
                "the file is longer than {} bytes, which no configuration is",
                limits::CONFIG_BYTES
            ),
            label: None,
            hint: "name the configuration with `--config`, or make several stacks of it".to_owned(),
            related: None,
        };
        // Its start shows what it is; the rest is not held.
        let start = text.get(..text.floor_char_boundary(MOST_SHOWN)).unwrap_or_default();
        Self::new(source_name, start, vec![finding])
    }

    /// The name of the file as it was given to the reader.
    pub fn source_name(&self) -> &str {
        &self.file.name
    }

    /// The errors in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    fn count(&self) -> String {
        match self.errors.len() {
            told if self.are_cut => format!("more than {told} errors; these are the first"),
            1 => "an error".to_owned(),
            count => format!("{count} errors"),
        }
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl ConfigError {
    /// The sort of error.
    pub fn kind(&self) -> ConfigErrorKind {
        self.finding.kind
    }

    /// The full name of the key, such as `site.www.health.path`; empty where no key is concerned.
    pub fn key(&self) -> &str {
        &self.finding.key
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.finding.message
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.finding.hint
    }

    /// The bytes of the file that are marked.
    pub fn span(&self) -> Range<usize> {
        self.finding.span.clone()
    }

    /// The name of the file as it was given to the reader.
    pub fn source_name(&self) -> &str {
        &self.file.name
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.file.position(self.finding.span.start).0 + 1
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.file.position(self.finding.span.start).1 + 1
    }
}

impl Diagnostic for ConfigErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.errors.iter().map(|error| error as &dyn Diagnostic)))
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.finding.hint))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.file.as_ref())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(self.finding.label.clone(), self.finding.span.clone());
        let related = self
            .finding
            .related
            .iter()
            .map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone()));
        Some(Box::new(std::iter::once(primary).chain(related)))
    }
}

/// The text of a configuration file under its name.
///
/// Unlike miette's own sources it counts columns in characters, and can mark the very end of a line or of the file.
#[derive(Debug)]
struct SourceFile {
    name: String,
    text: String,
}

impl SourceFile {
    /// `span` cut to the text and to whole characters.
    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.min(self.text.len()));
        start..end.max(start)
    }

    /// Line and column of a byte, both counted from 0, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count();
        // A byte order mark takes no place on the screen.
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .trim_start_matches('\u{feff}');
        (line, column.chars().count())
    }

    /// The start of the line that holds `offset`.
    fn line_start(&self, offset: usize) -> usize {
        self.text
            .get(..offset)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |newline| newline + 1)
    }

    /// The end of the line that holds `offset`, behind its newline.
    fn line_end(&self, offset: usize) -> usize {
        self.text
            .get(offset..)
            .and_then(|after| after.find('\n'))
            .map_or(self.text.len(), |newline| offset + newline + 1)
    }
}

impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let wanted = span.offset()..span.offset() + span.len();
        if self.text.get(wanted.clone()).is_none() {
            return Err(MietteError::OutOfBounds);
        }
        // With no lines around it miette wants the span itself: that is how it asks for line and column.
        let (start, end) = if lines_before == 0 && lines_after == 0 {
            (wanted.start, wanted.end)
        } else {
            let mut start = self.line_start(wanted.start);
            for _ in 0..lines_before {
                start = self.line_start(start.saturating_sub(1));
            }
            let mut end = self.line_end(wanted.end);
            for _ in 0..lines_after {
                end = self.line_end(end);
            }
            (start, end)
        };
        if end - start > MOST_SHOWN {
            return Err(MietteError::OutOfBounds);
        }
        let data = self.text.get(start..end).ok_or(MietteError::OutOfBounds)?;
        let (line, column) = self.position(start);
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data.as_bytes(),
            (start, end - start).into(),
            line,
            column,
            data.lines().count(),
        )))
    }
}
