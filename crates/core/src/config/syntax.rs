//! Says what is wrong with a text that is not TOML, in the words of somebody who writes a configuration.

use std::ops::Range;

use toml::de::Error;

use super::{
    diagnostic::{ConfigErrorKind, Finding},
    reader::shown,
};
use crate::limits;

/// The errors of the parser together with those findings that still mean something beside them.
///
/// The parser goes on behind an error. Where the error is a missing bracket or quote, it takes what follows for something
/// else than it is, so that nothing behind it is worth telling; and what could not be read is not missing.
///
/// More errors than are told are not looked at: the parser finds one in every line of a text that is something else.
pub(super) fn combine(text: &str, mut errors: Vec<Error>, mut findings: Vec<Finding>) -> Vec<Finding> {
    if errors.is_empty() {
        return findings;
    }
    let start = |error: &Error| error.span().unwrap_or(0..0).start;
    errors.sort_by_key(start);
    if let Some(first_untold) = errors.get(limits::CONFIG_ERRORS).map(start) {
        errors.truncate(limits::CONFIG_ERRORS);
        findings.retain(|finding| finding.span.start < first_untold);
    }
    let mut faults: Vec<Fault> = errors.iter().map(|error| Fault::new(text, error)).collect();
    faults.sort_by_key(|fault| (fault.at.start, fault.derails));
    let derailed = faults.iter().find(|fault| fault.derails).map(|fault| fault.at.start);
    if let Some(end) = derailed {
        faults.retain(|fault| fault.at.start < end || fault.derails);
        let mut first = true;
        faults.retain(|fault| !fault.derails || std::mem::take(&mut first));
    }
    faults.dedup_by_key(|fault| fault.finding.span.clone());
    let lines: Vec<Range<usize>> = faults.iter().map(|fault| line_of(text, fault.at.start)).collect();
    findings.retain(|finding| {
        finding.kind != ConfigErrorKind::Missing
            && derailed.is_none_or(|end| finding.span.end < end)
            && !lines
                .iter()
                .any(|line| finding.span.start < line.end && finding.span.end > line.start)
    });
    findings.extend(faults.into_iter().map(|fault| fault.finding));
    findings
}

struct Fault {
    /// Where the parser stopped.
    at: Range<usize>,
    /// Whether the parser can have lost its way behind it.
    derails: bool,
    finding: Finding,
}

impl Fault {
    fn new(text: &str, error: &Error) -> Self {
        let at = error.span().unwrap_or(0..0);
        let message = error.message();
        let derails = message.starts_with("unclosed")
            || message.contains("multi-line")
            || message.contains("array")
            || message.contains("inline table")
            || message.starts_with("missing comma");
        // What a dotted key cannot extend is whole by itself.
        let derails = derails && !message.starts_with("cannot extend");
        let (span, message, hint) = explain(text, &at, message);
        Self {
            derails,
            finding: Finding {
                kind: ConfigErrorKind::Syntax,
                key: String::new(),
                span,
                message,
                label: None,
                hint,
                related: None,
            },
            at,
        }
    }
}

fn explain(text: &str, at: &Range<usize>, message: &str) -> (Range<usize>, String, String) {
    let marked = || shown(text.get(at.clone()).unwrap_or_default().trim());
    // What is missing is missing behind the last thing that is there, not in front of the next one.
    let end = text.get(..at.start).unwrap_or_default().trim_end().len();
    let missing = |message: &str, hint: &str| (end..end, message.to_owned(), hint.to_owned());
    let is = |start: &str| message.starts_with(start);
    let own = |message: &str, hint: &str| (at.clone(), message.to_owned(), hint.to_owned());
    let word = bare_word(text, at);
    let value = text.get(word.clone()).unwrap_or_default();
    let about_value = [
        "string values must be quoted",
        "invalid boolean",
        "invalid float",
        "invalid integer",
        "invalid decimal",
        "invalid date",
        "invalid time",
        "unexpected leading zero",
    ];
    if about_value.iter().any(|start| is(start)) && !value.starts_with(['"', '\'']) {
        if value.is_empty() {
            return own("a value is missing", "a setting is written `key = value`");
        }
        let hint = match value.to_lowercase().as_str() {
            word @ ("true" | "false") => format!("write it in lower case: `{word}`"),
            "yes" | "on" => "write `true`".to_owned(),
            "no" | "off" => "write `true` or `false`, or text in quotes".to_owned(),
            _ => {
                let bare = value.trim_matches(['“', '”', '„', '‘', '’', '`', '"', '\'']);
                format!("text stands in straight quotes: `\"{}\"`", shown(bare))
            }
        };
        return (word, format!("`{}` is not a value", shown(value)), hint);
    }
    if is("duplicate key") {
        let message = format!("`{}` stands twice in its table", marked());
        return (
            at.clone(),
            message,
            "a key or a table can stand only once: remove or join them".to_owned(),
        );
    }
    if is("cannot extend") {
        let message = format!("`{}` has its value already and cannot take another key", marked());
        let hint = "write all of its keys in one place: either `table = { key = value }` or lines of \
                    `table.key = value`";
        return (at.clone(), message, hint.to_owned());
    }
    if message.contains("string") && message.ends_with("expected `\"`") || message.ends_with("expected `'`") {
        return own(
            "the text is not closed",
            "end it with the same quotes that it begins with",
        );
    }
    if is("key with no value") {
        return own("a `=` is missing", "a setting is written `key = value`");
    }
    if is("unexpected key or value") {
        return own(
            "only one setting fits on a line",
            "begin a new line, or write a comment behind `#`",
        );
    }
    if is("missing escaped value") {
        return own(
            "`\\` begins an escape that does not exist",
            "write `\\\\` for a backslash, or the whole text in single quotes",
        );
    }
    if is("unclosed table") || is("unclosed array of tables") {
        return missing(
            "the `]` of the table's header is missing",
            "a table begins with a line such as `[site.www]`",
        );
    }
    if is("unclosed inline table") {
        return missing("the `}` of a table is missing", "close it behind its last setting");
    }
    if is("unclosed array") {
        return missing("the `]` of a list is missing", "close it behind its last element");
    }
    if is("missing comma between key-value pairs") {
        return missing(
            "a `,` or the `}` of the table is missing",
            "settings between `{` and `}` stand apart by `,`",
        );
    }
    if is("missing comma between array elements") {
        return missing(
            "a `,` or the `]` of the list is missing",
            "elements between `[` and `]` stand apart by `,`",
        );
    }
    own(
        message,
        "the file has to be valid TOML: see https://toml.io for the rules",
    )
}

/// The line that holds `offset`, with its newline.
fn line_of(text: &str, offset: usize) -> Range<usize> {
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let end = text
        .get(offset..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |at| offset + at + 1);
    start..end
}

/// What stands around `at` up to the next blank or sign: the whole of an unquoted word that the parser read half of.
fn bare_word(text: &str, at: &Range<usize>) -> Range<usize> {
    let ends = |character: char| character.is_whitespace() || "=,[]{}#".contains(character);
    let before = text.get(..at.start).unwrap_or_default();
    let after = text.get(at.start..).unwrap_or_default();
    let start = before.char_indices().rev().find(|(_, character)| ends(*character));
    let start = start.map_or(0, |(index, character)| index + character.len_utf8());
    let end = at.start + after.find(ends).unwrap_or(after.len());
    start..end.max(start)
}
