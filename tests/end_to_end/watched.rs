//! A run that is watched while it goes on, and sent signals.

use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

use reconcile_emulator::{Emulator, LoggedRequest};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr},
};

use crate::support::{Desk, Run};

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_mins(1);

/// A run that goes on.
pub(crate) struct Watched {
    child: Child,
    errors: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Watched {
    pub(crate) fn start(desk: &Desk, arguments: &[&str]) -> Self {
        Self::of(desk.start(arguments))
    }

    /// Starts the program in other circumstances, as `launch.py` says.
    pub(crate) fn start_in(desk: &Desk, circumstances: &Value, arguments: &[&str]) -> Self {
        Self::of(desk.start_in(circumstances, arguments))
    }

    fn of(mut child: Child) -> Self {
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            errors,
            said: String::new(),
        }
    }

    /// Until a line on stderr holds `text`.
    pub(crate) async fn says(&mut self, text: &str) {
        let heard = async {
            while let Some(line) = self.errors.next_line().await.unwrap() {
                self.said += &line;
                self.said.push('\n');
                if line.contains(text) {
                    return true;
                }
            }
            false
        };
        let heard = tokio::time::timeout(DEADLINE, heard).await;
        assert_eq!(heard, Ok(true), "expected `{text}` in stderr:\n{}", self.said);
    }

    pub(crate) async fn send(&self, signal: &str) {
        let process = self.child.id().unwrap().to_string();
        let sent = tokio::process::Command::new("kill")
            .args(["-s", signal, &process])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Nobody reads its stdout any more.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    /// What it printed, how it ended, and how long that took from now on.
    pub(crate) async fn end(mut self) -> (Run, Duration) {
        let begun = Instant::now();
        let ending = async {
            let mut stdout = String::new();
            if let Some(mut out) = self.child.stdout.take() {
                out.read_to_string(&mut stdout).await.unwrap();
            }
            while let Some(line) = self.errors.next_line().await.unwrap() {
                self.said += &line;
                self.said.push('\n');
            }
            let status: ExitStatus = self.child.wait().await.unwrap();
            Run {
                code: status.code(),
                stdout,
                stderr: std::mem::take(&mut self.said),
            }
        };
        let run = tokio::time::timeout(DEADLINE, ending).await.expect("the run ends");
        (run, begun.elapsed())
    }
}

/// Until a request of `action` is under way: the emulator has it and has not answered.
pub(crate) async fn under_way(emulator: &Emulator, action: &str) {
    let is_it = |request: &LoggedRequest| request.action == action && request.status.is_none();
    let seen = async {
        while !emulator.control().requests().await.unwrap().iter().any(is_it) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, seen)
        .await
        .unwrap_or_else(|_| panic!("{action} is never under way"));
}
