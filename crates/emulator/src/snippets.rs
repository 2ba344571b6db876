//! A Python process that runs snippets one after the other, for tests that look at the emulated AWS very often.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{Emulator, Error};

/// Reads a snippet a line and answers a line. Every snippet begins with the same few names, see [`Emulator::boto3`];
/// clients are kept, because making one takes longer than most calls.
const DRIVER: &str = r#"
import boto3, functools, json, sys, traceback
cached = functools.cache(lambda service, options: boto3.client(service, **dict(options)))
def client(service, **options):
    return cached(service, tuple(sorted(options.items())))
def role(arn):
    if not arn:
        return {}
    found = client("sts").assume_role(RoleArn=arn, RoleSessionName="script")["Credentials"]
    return {"aws_access_key_id": found["AccessKeyId"], "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"]}
for line in sys.stdin:
    order = json.loads(line)
    shown = [None]
    names = {"boto3": boto3, "json": json, "client": client, "role": role, "given": order["given"],
             "show": lambda value: shown.__setitem__(0, value)}
    try:
        exec(order["script"], names)
        answer = {"shown": shown[0]}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer, default=str), flush=True)
"#;

/// Runs snippets as [`Emulator::boto3_with`] does, in one process that stays.
#[derive(Debug, Clone)]
pub struct Snippets(Arc<Mutex<Process>>);

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Snippets {
    pub(crate) fn start(mut command: Command, interpreter: &str) -> Result<Self, Error> {
        let no_python = |source| Error::NoPython {
            interpreter: interpreter.to_owned(),
            source,
        };
        command
            .args(["-c", DRIVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(no_python)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(no_python(std::io::Error::other("it has no pipes")));
        };
        let output = BufReader::new(output);
        Ok(Self(Arc::new(Mutex::new(Process { child, input, output }))))
    }

    /// Runs a snippet that sees `given`, and gives what it shows.
    ///
    /// # Errors
    /// If the snippet fails, or the process has ended.
    pub async fn run(&self, script: &str, given: &Value) -> Result<Value, Error> {
        let order = json!({ "script": script, "given": given }).to_string();
        let process = Arc::clone(&self.0);
        let exchange = tokio::task::spawn_blocking(move || {
            let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
            process.exchange(&order)
        });
        let task = |reason: String| Error::Task { reason };
        let line = exchange
            .await
            .map_err(|error| task(error.to_string()))?
            .map_err(|error| task(format!("the process that runs snippets: {error}")))?;
        let mut answer: Value =
            serde_json::from_str(&line).map_err(Error::unreadable("the answer to a snippet", &line))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(task(format!("a snippet failed:\n{error}"))),
            None => Ok(answer["shown"].take()),
        }
    }
}

impl Process {
    fn exchange(&mut self, order: &str) -> std::io::Result<String> {
        writeln!(self.input, "{order}")?;
        self.input.flush()?;
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

impl Emulator {
    /// Starts a process that runs snippets as [`Emulator::boto3_with`] does, without the second that each takes there.
    ///
    /// # Errors
    /// If Python cannot be run.
    pub fn snippets(&self) -> Result<Snippets, Error> {
        let (command, interpreter) = self.python();
        Snippets::start(command, &interpreter)
    }
}
