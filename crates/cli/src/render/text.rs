//! Text from elsewhere, made safe to print.

use std::{borrow::Cow, fmt::Write as _, io};

use serde::Serialize;

/// The colours and weights that this program and its reports of mistakes use. None of them hides text.
const STYLES: [&str; 16] = [
    "", "0", "1", "2", "3", "4", "22", "23", "24", "31", "32", "33", "34", "35", "36", "39",
];

/// `text`, which may have lines and, where it is painted, colours, with everything else written out that a terminal would
/// obey. The form is that of JSON, so that a document stays one.
pub(crate) fn safe(text: &str, is_coloured: bool) -> Cow<'_, str> {
    if text
        .chars()
        .all(|character| character == '\n' || is_harmless(character))
    {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = style_length(rest).filter(|_| is_coloured) {
            safe.push_str(rest.get(..length).unwrap_or_default());
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if matches!(character, '\n' | '\t') || is_harmless(character) {
            safe.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04X}");
            }
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    Cow::Owned(safe)
}

/// How long the sequence is at the start of `text` that sets one of [`STYLES`].
fn style_length(text: &str) -> Option<usize> {
    let sequence = text.strip_prefix("\u{1b}[")?;
    let (styles, _) = sequence.split_once('m')?;
    let known = styles.len() <= 16 && styles.split(';').all(|style| STYLES.contains(&style));
    known.then_some(styles.len() + 3)
}

/// `text` with control characters, and characters that change the direction of writing, written out: a name in AWS
/// must not be able to move the cursor or to hide what stands beside it.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            cleaned.push(character);
        } else {
            escape(character, &mut cleaned);
        }
    }
    cleaned
}

/// `text` as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            _ if is_harmless(character) => quoted.push(character),
            _ => escape(character, &mut quoted),
        }
    }
    quoted.push('"');
    quoted
}

/// `key` as TOML writes it.
pub(crate) fn key(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// Rows as indented lines, each column as wide as its widest cell; columns without any content are left out.
pub(crate) fn aligned<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) -> Vec<String> {
    let rows: Vec<[String; COLUMNS]> = rows.into_iter().map(|row| row.map(|cell| clean(&cell))).collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .filter(|(_, width)| *width > 0)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("  {}", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A document as JSON, indented, with a newline at its end. What [`clean`] would write out is written out here too, which
/// reads back as the same text.
///
/// # Errors
/// The serialiser's; never for what this program writes.
pub(crate) fn json(document: &impl Serialize) -> io::Result<String> {
    Ok(safe(&serde_json::to_string_pretty(document)?, false).into_owned() + "\n")
}

/// The same on one line.
///
/// # Errors
/// As [`json`].
pub(crate) fn json_line(document: &impl Serialize) -> io::Result<String> {
    Ok(safe(&serde_json::to_string(document)?, false).into_owned() + "\n")
}

/// `count` with the noun in the right number.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("{count} {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

fn escape(character: char, into: &mut String) {
    // Writing to a String cannot fail.
    let _ = match character {
        '\n' => write!(into, "\\n"),
        '\r' => write!(into, "\\r"),
        '\t' => write!(into, "\\t"),
        other if u32::from(other) > 0xffff => write!(into, "\\U{:08X}", u32::from(other)),
        other => write!(into, "\\u{:04X}", u32::from(other)),
    };
}

fn is_harmless(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    );
    let is_invisible = matches!(
        character,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    !character.is_control() && !turns && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_writing() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u001B[2Jb\\nc\\u202Ed");
        assert_eq!(clean("bücher.example.com"), "bücher.example.com");
    }

    #[test]
    fn invisible_letters_are_seen() {
        assert_eq!(clean("a\u{200b}b\u{3164}c\u{e0041}d"), "a\\u200Bb\\u3164c\\U000E0041d");
        assert_eq!(clean("a\u{9b}2Jb\u{7f}"), "a\\u009B2Jb\\u007F");
    }

    #[test]
    fn what_is_written_keeps_lines_and_its_own_colours_only() {
        let painted = "\u{1b}[31merror:\u{1b}[0m a\n\u{1b}[1;33mb\u{1b}[0m\tc\n";
        assert_eq!(safe(painted, true), painted);
        assert_eq!(safe("\u{1b}[31ma", false), "\\u001B[31ma");
        for hostile in [
            "\u{1b}[8m",
            "\u{1b}[30m",
            "\u{1b}[2J",
            "\u{1b}]0;t\u{7}",
            "\u{9b}1m",
            "\r",
            "\u{1b}[38;5;0m",
            "\u{1b}[",
        ] {
            for is_coloured in [true, false] {
                let written = safe(hostile, is_coloured);
                assert!(!written.chars().any(char::is_control), "{hostile:?} became {written:?}");
            }
        }
    }

    #[test]
    fn a_json_document_stays_one() {
        let value = serde_json::json!({ "name": "a\u{9b}b\u{7f}c\u{202e}d\u{e0041}e\u{1b}f\ng" });
        let text = format!("{value:#}\n");
        let written = safe(&text, false);
        assert!(written.chars().all(|c| c == '\n' || is_harmless(c)), "{written}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
    }

    #[test]
    fn json_reads_back_as_it_was_and_moves_no_cursor() {
        let text = "a\u{9b}2J\u{202e}\u{1b}\u{7f}b\n";
        let line = json_line(&[text]).unwrap();
        assert_eq!(line, "[\"a\\u009B2J\\u202E\\u001b\\u007Fb\\n\"]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&line).unwrap(), [text]);
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&json(&[text]).unwrap()).unwrap(),
            [text]
        );
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let lines = aligned(vec![row(["a", "", "x"]), row(["long", "", ""])]);
        assert_eq!(lines, ["  a     x", "  long"]);
    }

    #[test]
    fn strings_and_keys_are_written_as_toml_writes_them() {
        assert_eq!(quoted("say \"hi\"\\"), r#""say \"hi\"\\""#);
        assert_eq!(key("idle-timeout_1"), "idle-timeout_1");
        assert_eq!(key("reconcile:stack"), "\"reconcile:stack\"");
        assert_eq!(key(""), "\"\"");
    }
}
