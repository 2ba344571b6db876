//! Text from elsewhere, made safe to print.

use std::{fmt::Write as _, io};

use serde::Serialize;

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
    Ok(harmless_json(&serde_json::to_string_pretty(document)?) + "\n")
}

/// The same on one line.
///
/// # Errors
/// As [`json`].
pub(crate) fn json_line(document: &impl Serialize) -> io::Result<String> {
    Ok(harmless_json(&serde_json::to_string(document)?) + "\n")
}

/// The serialiser escapes the control characters of ASCII; newlines that it writes itself stand between tokens.
fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || is_harmless(character) {
            harmless.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(harmless, "\\u{unit:04X}");
            }
        }
    }
    harmless
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
        other => write!(into, "\\u{:04X}", u32::from(other)),
    };
}

fn is_harmless(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    );
    !character.is_control() && !turns
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
