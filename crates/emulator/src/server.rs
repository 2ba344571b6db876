//! The emulator's process: starting, reaching and ending it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::environment::target_folder;
use crate::{Control, Error, PythonEnvironment};

const KEPT_LOG_LINES: usize = 400;
/// An inherited profile would be looked for in the empty files; the last would send requests to the real AWS.
const CONTRADICTING_VARIABLES: [&str; 3] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];
/// Scripts find boto3 imported, `client(service)`, `role(arn)` with the credentials of a role as options of a client,
/// `show(value)`, and what was given to them as `given`.
const SCRIPT_PRELUDE: &str = "\
import boto3, json, sys
def client(service, **options):
    return boto3.client(service, **options)
def role(arn):
    if not arn:
        return {}
    found = client('sts').assume_role(RoleArn=arn, RoleSessionName='script')['Credentials']
    return {'aws_access_key_id': found['AccessKeyId'], 'aws_secret_access_key': found['SecretAccessKey'],
            'aws_session_token': found['SessionToken']}
def show(value):
    print(json.dumps(value, default=str))
given = json.loads(sys.argv[1])
";

/// How to start the emulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Serve moto as it is, without the strict rules.
    pub plain: bool,
    /// The region that scripts and children use.
    pub region: String,
    /// The account that everything belongs to.
    pub account: String,
    /// How long starting may take (not counting the making of the Python environment).
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain: false,
            region: "ap-northeast-1".to_owned(),
            account: "123456789012".to_owned(),
            deadline: Duration::from_secs(90),
        }
    }
}

/// A running emulator. Its process ends when this is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    control: Control,
    environment: PythonEnvironment,
    region: String,
    log: Log,
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Emulator {
    /// Starts an emulator on a free port and waits until it answers.
    ///
    /// The first start ever also makes the Python environment; see [`PythonEnvironment::prepare`].
    pub async fn start(options: Options) -> Result<Self, Error> {
        tokio::task::spawn_blocking(move || Self::start_blocking(options))
            .await
            .map_err(|error| Error::Task {
                reason: error.to_string(),
            })?
    }

    fn start_blocking(options: Options) -> Result<Self, Error> {
        let environment = PythonEnvironment::prepare()?;
        let mut command = environment.command();
        command
            .args(["-m", "strict_emulator", "--port", "0", "--account"])
            .arg(&options.account)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("AWS_DEFAULT_REGION", &options.region)
            // Plain moto issues certificates by this timer, strict rules by what stands in DNS.
            .env("MOTO_ACM_VALIDATION_WAIT", "1")
            .envs(client_environment(&options.region));
        if options.plain {
            command.arg("--plain");
        }
        let mut process = command.spawn().map_err(|source| Error::NoPython {
            interpreter: environment.interpreter().display().to_string(),
            source,
        })?;

        // The pipes are read by threads of their own: tasks would end with the runtime that started them, and a
        // full pipe would then stop the emulator.
        let log = Log::default();
        let (announce, announced) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            let log = log.clone();
            std::thread::spawn(move || {
                read_lines(stdout, |line| {
                    if let Some(url) = line.strip_prefix("ready ") {
                        let _ = announce.send(url.trim().to_owned());
                    } else {
                        log.push(line);
                    }
                });
            });
        }
        if let Some(stderr) = process.stderr.take() {
            let log = log.clone();
            std::thread::spawn(move || read_lines(stderr, |line| log.push(line)));
        }

        let announced = announced.recv_timeout(options.deadline);
        let mut guard = KillOnDrop(Some(process));
        let not_ready = |reason: String| Error::NotReady {
            reason,
            log: log.text(30),
        };
        let url = announced.map_err(|error| {
            not_ready(match error {
                RecvTimeoutError::Timeout => {
                    format!("silent for {} s", options.deadline.as_secs())
                }
                RecvTimeoutError::Disconnected => "its process ended".to_owned(),
            })
        })?;
        let address: SocketAddr = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .map_err(|_| not_ready(format!("`{url}` is not an address")))?;
        let process = guard
            .0
            .take()
            .ok_or_else(|| not_ready("its process is gone".to_owned()))?;
        Ok(Self {
            process,
            control: Control::new(address),
            environment,
            region: options.region,
            log,
        })
    }

    /// The endpoint of all emulated services.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.control.address())
    }

    /// The control interface.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The region given at the start.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The environment variables that make a child's AWS SDK talk to this emulator, and to nothing else.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = client_environment(&self.region);
        variables.push(("AWS_ENDPOINT_URL".to_owned(), self.endpoint_url()));
        variables
    }

    /// Sets [`Emulator::environment`] for a child, and takes away what would contradict it.
    pub fn configure(&self, command: &mut Command) {
        command.envs(self.environment());
        for inherited in CONTRADICTING_VARIABLES {
            command.env_remove(inherited);
        }
    }

    /// A command that runs Python with this emulator as its AWS, and the interpreter's name.
    pub(crate) fn python(&self) -> (Command, String) {
        let mut command = self.environment.command();
        self.configure(&mut command);
        (command, self.environment.interpreter().display().to_string())
    }

    /// The last lines that the emulator logged.
    pub fn log(&self) -> String {
        self.log.text(KEPT_LOG_LINES)
    }

    /// Runs a Python snippet that looks at the emulated AWS through boto3, and parses what it shows.
    ///
    /// The snippet has `client(service)` and should call `show(value)` once with what the test wants to see; with no
    /// `show` the result is `null`.
    pub async fn boto3(&self, script: &str) -> Result<Value, Error> {
        self.boto3_with(script, &Value::Null).await
    }

    /// Like [`Emulator::boto3`], with a value that the snippet sees as `given`.
    pub async fn boto3_with(&self, script: &str, given: &Value) -> Result<Value, Error> {
        let mut command = self.environment.command();
        command
            .arg("-c")
            .arg(format!("{SCRIPT_PRELUDE}{script}"))
            .arg(given.to_string())
            .stdin(Stdio::null());
        self.configure(&mut command);
        let run = tokio::task::spawn_blocking(move || command.output()).await;
        let output = run
            .map_err(|error| Error::Task {
                reason: error.to_string(),
            })?
            .map_err(|source| Error::NoPython {
                interpreter: self.environment.interpreter().display().to_string(),
                source,
            })?;
        if !output.status.success() {
            return Err(Error::Script {
                status: output.status,
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(Error::unreadable("the script's output", &text))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Log {
    fn push(&self, line: &str) {
        tracing::debug!(target: "emulator", "{line}");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    fn text(&self, count: usize) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(count);
        let kept: Vec<_> = lines.iter().skip(skipped).map(String::as_str).collect();
        kept.join("\n")
    }
}

fn read_lines(stream: impl Read, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => each(String::from_utf8_lossy(&line).trim_end()),
        }
    }
}

/// Credentials that open nothing, and no file or metadata service that could hold real ones.
fn client_environment(region: &str) -> Vec<(String, String)> {
    let nothing = empty_file().display().to_string();
    [
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_SESSION_TOKEN", "testing"),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", &nothing),
        ("AWS_SHARED_CREDENTIALS_FILE", &nothing),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// An empty file: some SDKs complain about `/dev/null`, others about a file that is not there.
fn empty_file() -> PathBuf {
    let folder = target_folder().join("emulator");
    let path = folder.join("empty");
    if !path.exists() && (std::fs::create_dir_all(&folder).is_err() || std::fs::write(&path, "").is_err()) {
        return PathBuf::from("/dev/null");
    }
    path
}
