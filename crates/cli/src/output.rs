//! The one place that writes to the terminal and reads from it.
//!
//! Whatever is written passes [`safe`]: what comes from AWS, from a site or from a file cannot move the cursor, colour what
//! stands beside it or turn the direction of writing, whoever forgot to write it out before; and no credentials are written.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    sync::{Arc, OnceLock},
};

use indicatif::MultiProgress;
use reconcile_aws::without_secrets;

use crate::{args::ColorChoice, progress::Events, render::safe};

/// What is known of standard input, output and error.
#[derive(Debug)]
pub(crate) struct Shell {
    out: Paint,
    err: Paint,
    redraws: bool,
    can_ask: bool,
    events: Option<Arc<Events>>,
}

impl Shell {
    /// The process's own.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let paint = |is_terminal: bool| Paint {
            colour: wants_colour(choice, no_color || dumb, is_terminal),
        };
        let err_is_terminal = io::stderr().is_terminal();
        let (out, err) = (paint(io::stdout().is_terminal()), paint(err_is_terminal));
        let _ = PAINTS.set((out, err));
        Self {
            out,
            err,
            redraws: err_is_terminal && !dumb,
            can_ask: io::stdin().is_terminal() && err_is_terminal,
            events: None,
        }
    }

    /// The same for a run that is told by events, in place of text on stdout.
    pub(crate) fn with_events(mut self, events: Option<Events>) -> Self {
        self.events = events.map(Arc::new);
        self
    }

    /// The events, if the run is told by them.
    pub(crate) fn events(&self) -> Option<&Arc<Events>> {
        self.events.as_ref()
    }

    /// Tells what became of changes, in a run that is not told by events.
    pub(crate) fn say(&self, text: &str) {
        if self.events.is_none() {
            tell(text);
        }
    }

    /// How stdout is painted.
    pub(crate) fn paint(&self) -> Paint {
        self.out
    }

    /// How stderr is painted.
    pub(crate) fn err_paint(&self) -> Paint {
        self.err
    }

    /// Whether stderr is a terminal on which lines can be redrawn.
    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// Whether somebody is there to answer: the question goes to stderr, the answer comes from stdin.
    pub(crate) fn can_ask(&self) -> bool {
        self.can_ask
    }
}

/// How stdout and stderr are painted; not at all until that is known.
static PAINTS: OnceLock<(Paint, Paint)> = OnceLock::new();

fn paints() -> (Paint, Paint) {
    PAINTS.get().copied().unwrap_or_default()
}

/// Writes the result of a command to stdout.
///
/// # Errors
/// The system's, for example that the reader of a pipe is gone.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let text = without_secrets(text);
    let text = safe(&text, paints().0.is_coloured());
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes what became of changes to stdout, or to stderr where stdout takes nothing any more: that a log is full or nobody
/// reads on does not make the changes undone.
pub(crate) fn tell(text: &str) {
    if print(text).is_err() {
        note(text);
    }
}

/// Asks on stderr, and reads one line; `None` at the end of the input.
///
/// # Errors
/// The system's.
pub(crate) fn ask(question: &str) -> io::Result<Option<String>> {
    note(question);
    answer(&mut io::stdin().lock())
}

/// What is redrawn at the bottom of the terminal.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Lets everything else be written above these spinners.
pub(crate) fn write_above(bars: &MultiProgress) {
    let _ = BARS.set(bars.clone());
}

/// Writes what is no result (progress, errors, hints) to stderr, in one piece, so that lines of several tasks do not mix.
/// That it cannot be written is nothing that could be told.
pub(crate) fn note(text: &str) {
    let text = without_secrets(text);
    let text = safe(&text, paints().1.is_coloured());
    let write = || {
        let mut err = io::stderr().lock();
        let _ = err.write_all(text.as_bytes());
        let _ = err.flush();
    };
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Takes lines of logs, in whole; for the logger, which would panic where stderr takes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notes;

impl Write for Notes {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // One event is one line, whatever line ends a message of somebody else has.
        let text = String::from_utf8_lossy(line);
        note(&(text.trim_end_matches('\n').replace('\n', "\\n") + "\n"));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends the line in which a terminal has shown the `^C`. Spinners begin a new one by themselves.
pub(crate) fn end_line() {
    if io::stderr().is_terminal() && BARS.get().is_none() {
        note("\n");
    }
}

fn answer(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = input.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn wants_colour(choice: ColorChoice, unwanted: bool, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && !unwanted,
    }
}

/// Colours text, or not. Colour repeats what symbols and words say and is never the only signal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// No colour.
    pub(crate) const PLAIN: Self = Self { colour: false };

    /// Colour.
    #[cfg(test)]
    pub(crate) const COLOUR: Self = Self { colour: true };

    /// Whether anything is coloured.
    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }

    /// What is made.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What is deleted, and errors.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// What is changed, and warnings.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// What is waited for, and hints.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// Headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What stands beside.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_chosen_wanted_or_left_to_the_terminal() {
        assert!(wants_colour(ColorChoice::Always, true, false));
        assert!(!wants_colour(ColorChoice::Never, false, true));
        assert!(wants_colour(ColorChoice::Auto, false, true));
        assert!(!wants_colour(ColorChoice::Auto, true, true), "NO_COLOR");
        assert!(!wants_colour(ColorChoice::Auto, false, false), "a pipe");
    }

    #[test]
    fn an_answer_is_one_line_without_its_end() {
        let read = |text: &str| answer(&mut text.as_bytes()).unwrap();
        assert_eq!(read("yes\r\nno\n"), Some("yes".to_owned()));
        assert_eq!(read("\n"), Some(String::new()));
        assert_eq!(read(""), None);
    }

    #[test]
    fn paint_leaves_text_alone_without_colour() {
        assert_eq!(Paint::PLAIN.red("text"), "text");
        assert_eq!(Paint { colour: true }.red("text"), "\u{1b}[31mtext\u{1b}[0m");
    }
}
