//! A client of the gate: requests that change something are stopped there while a test kills the process that sent them.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Control, Error};

/// How far a request may come at a closed gate. What comes after it is held without being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// It is held without being carried out.
    Before,
    /// It is carried out, and its answer is held.
    After,
    /// It is carried out and answered.
    Answered,
    /// It is held as with [`Gate::Before`], and carried out when the gate is open and somebody else wants to change
    /// something: right before that.
    Late,
}

/// How things stand at a closed gate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AtGate {
    /// How many requests that change something have come since it was closed.
    pub arrived: u64,
    /// How many of them are held.
    pub held: u64,
    /// Service and action of the request that it is closed at, once it has come.
    pub request: Option<String>,
    /// Whether that request is as far as it may come, and nothing before it is under way.
    pub reached: bool,
    /// `held`, `called` or `done`, where the request is to be late.
    pub late: Option<String>,
}

impl Control {
    /// Closes the gate at a request that changes something, counted from 1 on from now.
    pub async fn close_gate(&self, gate: Gate, at: u64) -> Result<(), Error> {
        let order = json!({ "kind": gate, "at": at });
        self.send(Method::PUT, "gate", Some(order)).await.map(drop)
    }

    /// Waits until the request is there, or until `wait` is over, and tells how things stand at the gate.
    pub async fn at_gate(&self, wait: Duration) -> Result<AtGate, Error> {
        let path = format!("gate?wait={}", wait.as_secs_f64());
        self.json(Method::GET, &path, None).await
    }

    /// Drops what is held, once its client is dead; a late request stays. Returns when nothing is under way.
    pub async fn open_gate(&self) -> Result<AtGate, Error> {
        self.json(Method::POST, "gate/open", None).await
    }

    /// Lets everything through again, and tells how things stood. A late request that is still held is carried out.
    pub async fn remove_gate(&self) -> Result<AtGate, Error> {
        self.json(Method::DELETE, "gate", None).await
    }
}
