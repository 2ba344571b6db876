//! Who holds a state: told to people, and enough to tell whether it still lives.

use std::{
    fmt, fs,
    io::{self},
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::render;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Tells this lock from all others.
    #[serde(default)]
    pub(crate) id: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its machine.
    pub(crate) host: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What it does.
    pub(crate) command: String,
    /// What tells its process from all others, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Process>,
}

/// What tells a process from all others, on all machines and for all time.
///
/// The name of a host does not: containers and clones share names. The number of a process does not: it is given again,
/// and means something else in another namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The kernel's id of this start of the machine.
    boot: String,
    /// The namespace in which the process has its number.
    namespace: String,
    /// When it began, in ticks of the kernel.
    started: u64,
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs on this machine.
    Alive,
    /// It ran on this machine, since it was started, and is not there any more.
    Dead,
    /// It ran where this process cannot look.
    Unknown,
}

impl Holder {
    /// This process.
    pub(crate) fn this(command: &str) -> Self {
        let pid = std::process::id();
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            pid,
            host: host_name(),
            since: Timestamp::now(),
            command: format!("reconcile {command}"),
            process: Process::of(pid),
        }
    }

    /// Whether its process still runs. What ran on another machine, or before this one was started, is not known.
    pub(crate) fn life(&self) -> Life {
        let (Some(process), Some(own)) = (&self.process, Process::of(std::process::id())) else {
            return Life::Unknown;
        };
        if (&process.boot, &process.namespace) != (&own.boot, &own.namespace) {
            return Life::Unknown;
        }
        match Stat::read(self.pid) {
            Ok(Some(stat)) if stat.ended || stat.started != process.started => Life::Dead,
            Ok(Some(_)) => Life::Alive,
            // Where the processes of others are hidden, a process that is not seen may live. The first one always lives.
            Ok(None) if matches!(Stat::read(1), Ok(Some(_))) => Life::Dead,
            Ok(None) | Err(_) => Life::Unknown,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (command, host) = (render::clean(&self.command), render::clean(&self.host));
        write!(
            formatter,
            "`{command}`, process {} on {host}, since {}",
            self.pid,
            render::local(self.since)
        )?;
        if self.id.is_empty() {
            return Ok(());
        }
        write!(formatter, " (lock {})", render::clean(&self.id))
    }
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        Some(Self {
            boot: read_line("/proc/sys/kernel/random/boot_id")?,
            namespace: fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned(),
            started: Stat::read(pid).ok()??.started,
        })
    }
}

/// What the kernel says of a process.
struct Stat {
    started: u64,
    /// It has ended, and its parent has not taken notice yet.
    ended: bool,
}

impl Stat {
    /// `None` if there is no such process.
    fn read(pid: u32) -> io::Result<Option<Self>> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(text) => Self::parse(&text).map(Some).ok_or(io::ErrorKind::InvalidData.into()),
            // The folder of the system itself tells that there is one at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/self/stat").exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in parentheses and may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            // Field 22 of all, the state being field 3.
            started: fields.nth(18)?.parse().ok()?,
            ended: matches!(state, "Z" | "X" | "x"),
        })
    }
}

fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn host_name() -> String {
    read_line("/proc/sys/kernel/hostname")
        .or_else(|| read_line("/etc/hostname"))
        .or_else(|| std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn of(pid: u32) -> Holder {
        Holder {
            pid,
            process: Process::of(pid),
            ..Holder::this("apply")
        }
    }

    #[test]
    fn a_process_that_runs_is_not_dead_and_one_that_ended_is() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let holder = of(child.id());
        assert!(holder.process.is_some());
        assert_eq!(
            (holder.life(), of(std::process::id()).life()),
            (Life::Alive, Life::Alive)
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder.life(), Life::Dead);
    }

    #[test]
    fn a_number_that_was_given_again_is_another_process() {
        let mut holder = of(std::process::id());
        holder.process.as_mut().unwrap().started += 1;
        assert_eq!(holder.life(), Life::Dead);
    }

    #[test]
    fn what_ran_elsewhere_is_never_known_to_be_dead() {
        let dead = Holder {
            pid: u32::MAX,
            process: Process::of(std::process::id()),
            ..Holder::this("apply")
        };
        assert_eq!(dead.life(), Life::Dead);
        let with = |change: fn(&mut Process)| {
            let mut elsewhere = dead.clone();
            change(elsewhere.process.as_mut().unwrap());
            elsewhere
        };
        let elsewhere = [
            with(|process| process.boot = "another machine".to_owned()),
            with(|process| process.namespace = "another container".to_owned()),
            // An older version wrote it.
            Holder { process: None, ..dead },
        ];
        assert!(elsewhere.iter().all(|holder| holder.life() == Life::Unknown));
    }

    #[test]
    fn the_name_of_a_program_cannot_mislead() {
        let text = "42 (a) Z (b) R 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.started, stat.ended), (777, false));
    }
}
