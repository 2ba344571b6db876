//! One value of the file: what type it has, whether it is one that its key can have, and what to say if not.

use std::{fmt::Display, ops::Range, ops::RangeInclusive, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{ConfigErrorKind, Finding},
    reader::{Checked, Diagnostics, Reader, Reported, closest, join, shown},
};
use crate::value::{Seconds, SecondsError};

/// One value with its place.
#[derive(Debug, Clone)]
pub(super) struct Entry<'d> {
    diagnostics: &'d Diagnostics,
    key: String,
    path: String,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Entry<'d> {
    /// The value of `key` in the table `path`.
    pub(super) fn new(diagnostics: &'d Diagnostics, key: &str, path: &str, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self {
            diagnostics,
            key: key.to_owned(),
            path: join(path, key),
            value,
        }
    }

    /// The bytes that the value takes.
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// The value if it is text, whatever it holds.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        self.value.get_ref().as_str()
    }

    /// Notes a finding about the value.
    fn report(
        &self,
        kind: ConfigErrorKind,
        message: String,
        hint: String,
        related: Option<(Range<usize>, String)>,
    ) -> Reported {
        self.diagnostics.report(Finding {
            kind,
            key: self.path.clone(),
            span: self.span(),
            message,
            // Only two marks have to be told apart.
            label: related.is_some().then(|| "here".to_owned()),
            hint,
            related,
        })
    }

    /// Notes that the value is none that the key can have.
    pub(super) fn invalid(&self, message: impl Into<String>, hint: impl Into<String>) -> Reported {
        self.report(ConfigErrorKind::Invalid, message.into(), hint.into(), None)
    }

    /// Notes that something is missing in the table that the value is.
    pub(super) fn missing(&self, message: &str, hint: &str) -> Reported {
        self.report(ConfigErrorKind::Missing, message.to_owned(), hint.to_owned(), None)
    }

    /// Notes that the value cannot stand beside another one at `related`.
    pub(super) fn conflict(
        &self,
        message: impl Into<String>,
        hint: impl Into<String>,
        related: (Range<usize>, impl Into<String>),
    ) -> Reported {
        let related = (related.0, related.1.into());
        self.report(ConfigErrorKind::Conflict, message.into(), hint.into(), Some(related))
    }

    fn wrong_type(&self, expected: &str, hint: String) -> Reported {
        let message = format!("`{}` has to be {expected}, found {}", shown(&self.key), self.found());
        self.report(ConfigErrorKind::WrongType, message, hint, None)
    }

    /// The value's type and, where it is short, the value.
    fn found(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) => format!("the text `\"{}\"`", shown(text)),
            DeValue::Integer(integer) => format!("the number `{integer}`"),
            DeValue::Float(float) => format!("the number `{float}`"),
            DeValue::Boolean(boolean) => format!("`{boolean}`"),
            DeValue::Datetime(time) => format!("the time `{time}`"),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// Text without control characters; `example` is one that would do, as it stands in the file.
    pub(super) fn text(&self, example: &str) -> Checked<&'d str> {
        let hint = match self.value.get_ref() {
            DeValue::String(text) => {
                if let Some(control) = text.chars().find(|character| character.is_control()) {
                    return Err(self.invalid(
                        format!(
                            "`{}` holds the control character `{}`",
                            shown(&self.key),
                            control.escape_default()
                        ),
                        "write it on one line, without tabs and escapes such as `\\n`",
                    ));
                }
                return Ok(text);
            }
            DeValue::Integer(integer) => format!("write it in quotes: `\"{integer}\"`"),
            DeValue::Float(float) => format!("write it in quotes: `\"{float}\"`"),
            DeValue::Datetime(time) => format!("write it in quotes: `\"{time}\"`"),
            DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
                format!("write for example `{} = {example}`", shown(&self.key))
            }
        };
        Err(self.wrong_type("text", hint))
    }

    /// Text that is not empty.
    pub(super) fn filled(&self, example: &str) -> Checked<&'d str> {
        let text = self.text(example)?;
        if text.trim().is_empty() {
            return Err(self.invalid(
                format!("`{}` is empty", shown(&self.key)),
                format!(
                    "write for example `{} = {example}`, or leave the key out",
                    shown(&self.key)
                ),
            ));
        }
        Ok(text)
    }

    /// Text in a form of its own, explained by `hint` where it is not.
    pub(super) fn parsed<T>(&self, example: &str, hint: &str) -> Checked<T>
    where
        T: FromStr<Err: Display>,
    {
        self.text(example)?
            .parse()
            .map_err(|error: T::Err| self.invalid(error.to_string(), hint))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Checked<bool> {
        if let DeValue::Boolean(boolean) = self.value.get_ref() {
            return Ok(*boolean);
        }
        let hint = match self.value.get_ref() {
            DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
                format!("write it without quotes: `{text}`")
            }
            _ => format!("write `{key} = true` or `{key} = false`", key = shown(&self.key)),
        };
        Err(self.wrong_type("`true` or `false`", hint))
    }

    /// A whole number within `range`.
    pub(super) fn integer<T>(&self, range: RangeInclusive<T>) -> Checked<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = self.value.get_ref() else {
            let hint = match self.value.get_ref() {
                DeValue::String(text) if text.parse::<i64>().is_ok() => {
                    format!("write it without quotes: `{}`", shown(text))
                }
                _ => format!("write for example `{} = {}`", shown(&self.key), range.end()),
            };
            return Err(self.wrong_type(&expected, hint));
        };
        i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.invalid(
                    format!("`{}` has to be {expected}, found {}", shown(&self.key), self.found()),
                    format!("choose a number from {} to {}", range.start(), range.end()),
                )
            })
    }

    /// A duration within `range`.
    pub(super) fn seconds(&self, range: RangeInclusive<u32>) -> Checked<Seconds> {
        let (least, most) = (plain(*range.start()), plain(*range.end()));
        let expected = format!("a duration from {least} to {most}");
        if let DeValue::Integer(integer) = self.value.get_ref() {
            // AWS counts seconds here; whoever writes a bare number most likely means them.
            let hint = format!(
                "durations are written with their unit: `{} = \"{integer}s\"`",
                shown(&self.key)
            );
            return Err(self.wrong_type(&expected, hint));
        }
        let text = self.text("\"30s\"")?;
        let seconds: Seconds = text.parse().map_err(|error: SecondsError| {
            let hint = match &error {
                SecondsError::NoUnit { text } => format!("write `{} = \"{text}s\"`", shown(&self.key)),
                SecondsError::NotADuration { .. } => {
                    "units are `s`, `m` and `h`, as in `\"90s\"`, `\"5m\"` or `\"1h30m\"`".to_owned()
                }
            };
            self.invalid(error.to_string(), hint)
        })?;
        if range.contains(&seconds.get()) {
            Ok(seconds)
        } else {
            Err(self.invalid(
                format!("`{}` has to be {expected}, found `{}`", shown(&self.key), shown(text)),
                format!("choose a duration from `{least}` to `{most}`"),
            ))
        }
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Checked<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let example = format!("\"{}\"", words.first().copied().unwrap_or_default());
        let text = self.text(&example)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let all: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
        let hint = match closest(text, &words) {
            Some(word) => format!("did you mean `\"{word}\"`?"),
            None => format!("choose one of {}", all.join(", ")),
        };
        Err(self.invalid(
            format!(
                "`{}` has to be {}, found `\"{}\"`",
                shown(&self.key),
                all.join(" or "),
                shown(text)
            ),
            hint,
        ))
    }

    /// The elements of a list; `example` is one of them as it stands in the file.
    pub(super) fn list(&self, example: &str) -> Checked<Vec<Self>> {
        match self.value.get_ref() {
            DeValue::Array(array) if !array.iter().any(|element| element.get_ref().is_table()) => {
                Ok(array.iter().map(|value| Self { value, ..self.clone() }).collect())
            }
            DeValue::String(text) => Err(self.wrong_type(
                "a list",
                format!("put it in brackets: `{} = [\"{}\"]`", shown(&self.key), shown(text)),
            )),
            _ => Err(self.wrong_type(
                "a list",
                format!("write for example `{} = [{example}]`", shown(&self.key)),
            )),
        }
    }

    /// The table that the value is; `example` shows one.
    pub(super) fn table(&self, example: &str) -> Checked<&'d DeTable<'d>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong_type("a table", format!("write for example `{example}`"))),
        }
    }

    /// The key of a table whose keys are free, and what stands under it.
    pub(super) fn child(&self, key: &str, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self::new(self.diagnostics, key, &self.path, value)
    }

    /// A reader of the value as a table.
    pub(super) fn reader(&self, pattern: &str, example: &str) -> Checked<Reader<'d>> {
        let names = (self.path.clone(), pattern.to_owned());
        Ok(Reader::new(
            self.diagnostics,
            Some(self.table(example)?),
            names,
            self.span(),
        ))
    }

    /// Notes that `key` of the free keys of this table, which stands at `span`, is none that it can have.
    pub(super) fn invalid_key(&self, key: &str, span: Range<usize>, message: String, hint: &str) -> Reported {
        self.diagnostics.report(Finding {
            kind: ConfigErrorKind::Invalid,
            key: join(&self.path, key),
            span,
            message,
            label: None,
            hint: hint.to_owned(),
            related: None,
        })
    }
}

/// A limit as people write it: `4000s` rather than `1h6m40s`, but `72h`.
fn plain(seconds: u32) -> String {
    if seconds > 0 && seconds.is_multiple_of(3600) {
        Seconds::new(seconds).to_string()
    } else {
        format!("{seconds}s")
    }
}
