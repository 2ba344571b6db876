//! A client of the emulator's control interface: delays, faults, health scripts, the request log, the world.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::model::World;
use crate::{Error, http1};

/// The control interface of one running emulator. Cheap to clone; usable from any runtime.
#[derive(Debug, Clone)]
pub struct Control {
    address: SocketAddr,
}

/// How long the emulated AWS takes, in seconds. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Until a new certificate shows its validation records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_records_after: Option<f64>,
    /// From the validation CNAME standing in the zone to the certificate being issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue_after: Option<f64>,
    /// From a load balancer's creation to its state `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_active_after: Option<f64>,
    /// From a target's registration to its first health state after `initial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_after: Option<f64>,
    /// For which a deregistered target drains; never longer than its group's deregistration delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draining_for: Option<f64>,
    /// For which a target group counts as used after the last listener or rule let go of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_groups_linger_for: Option<f64>,
    /// For which a new web ACL cannot be associated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_acl_unavailable_for: Option<f64>,
    /// From a change of records to `INSYNC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_in_sync_after: Option<f64>,
    /// For which new resources are unknown to reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_unknown_for: Option<f64>,
    /// For which a deleted load balancer's interfaces still stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces_linger_for: Option<f64>,
    /// By which tags appear after what they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags_late_by: Option<f64>,
}

/// One request that the emulator received.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LoggedRequest {
    /// Counts up from 1.
    pub sequence: u64,
    /// Seconds since the epoch.
    pub time: f64,
    /// The service, for example `elbv2`.
    pub service: String,
    /// The API action, for example `CreateListener`.
    pub action: String,
    /// Whether the action changes anything.
    pub mutating: bool,
    /// The answer's HTTP status; none yet while the request is under way.
    pub status: Option<u16>,
    /// AWS's error code, if it was an error.
    pub error: Option<String>,
    /// What was sent.
    #[serde(default)]
    pub parameters: Value,
}

/// One entry of a health script: the state that a target shows, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthStep {
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl HealthStep {
    /// The target is healthy.
    pub fn healthy() -> Self {
        Self {
            state: "healthy".to_owned(),
            reason: None,
            description: None,
            seconds: None,
        }
    }

    /// The target is in another state, with a reason code as in aws-facts 2.4.
    pub fn new(state: &str, reason: &str, description: &str) -> Self {
        Self {
            state: state.to_owned(),
            reason: Some(reason.to_owned()),
            description: Some(description.to_owned()),
            seconds: None,
        }
    }

    /// Goes over to the next entry after a while. The last entry stays anyway.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.seconds = Some(time.as_secs_f64());
        self
    }
}

/// What a fault does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers as AWS does when requests come too fast.
    Throttle,
    /// Answers with an HTTP status.
    Status,
    /// Closes the connection without carrying the request out.
    DropBefore,
    /// Carries the request out and closes the connection without an answer.
    DropAfter,
    /// Answers late.
    Latency,
    /// Answers that the caller is not allowed.
    Deny,
    /// Answers that the caller's session is over, by each service's own code.
    Expire,
    /// Answers with an error code.
    Error,
    /// Answers with any text, see [`Fault::body`], as a proxy on the way does, without carrying the request out.
    ReplaceBefore,
    /// Carries the request out and answers with any text.
    ReplaceAfter,
    /// Carries the request out and answers with the first half of the answer, as if it were the whole.
    Truncate,
    /// Carries the request out and closes the connection in the middle of the answer.
    Abort,
    /// Carries the request out and stops in the middle of the answer for a while.
    Stall,
}

/// A fault to be injected. Hits every matching request until cleared, unless limited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    service: String,
    action: String,
    kind: FaultKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u32>,
    times: Option<u32>,
    probability: f64,
}

impl Fault {
    /// A fault on one action of a service; `*` stands for all of either.
    pub fn new(service: &str, action: &str, kind: FaultKind) -> Self {
        Self {
            service: service.to_owned(),
            action: action.to_owned(),
            kind,
            status: None,
            code: None,
            message: None,
            body: None,
            content_type: None,
            seconds: None,
            after: None,
            times: None,
            probability: 1.0,
        }
    }

    /// Hits only so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many requests pass before it hits the first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = Some(requests);
        self
    }

    /// Hits a share of the requests, from 0 to 1.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The error code and message to answer with.
    #[must_use]
    pub fn code(mut self, code: &str, message: &str) -> Self {
        self.code = Some(code.to_owned());
        self.message = Some(message.to_owned());
        self
    }

    /// What to answer in AWS's place, with status 200 unless another is set.
    #[must_use]
    pub fn body(mut self, content_type: &str, text: &str) -> Self {
        self.content_type = Some(content_type.to_owned());
        self.body = Some(text.to_owned());
        self
    }

    /// How late to answer, or for how long to stop in the middle.
    #[must_use]
    pub fn delay(mut self, time: Duration) -> Self {
        self.seconds = Some(time.as_secs_f64());
        self
    }
}

/// Which certificate is to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFailure {
    /// The one with this ARN.
    Arn(String),
    /// The one for this domain, or the next that is requested for it.
    Domain(String),
}

/// How the managed renewal of a certificate stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Renewal {
    /// `PENDING_AUTO_RENEWAL`, `PENDING_VALIDATION`, `SUCCESS` or `FAILED`; none for no renewal under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it failed, as aws-facts 1.4 has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The validation status of single domains, where it is not that of the whole.
    pub domains: BTreeMap<String, String>,
    /// How many days the certificate is still valid; below zero it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<f64>,
}

impl Control {
    /// The control interface at an address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where the control interface listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the delays in force.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.json(Method::GET, "settings", None).await
    }

    /// Changes some of the delays.
    pub async fn change_settings(&self, settings: Settings) -> Result<(), Error> {
        self.send(Method::PUT, "settings", Some(json!(settings)))
            .await
            .map(drop)
    }

    /// Reads the request log.
    pub async fn requests(&self) -> Result<Vec<LoggedRequest>, Error> {
        self.json(Method::GET, "requests", None).await
    }

    /// Reads only the logged requests that change something.
    pub async fn mutating_requests(&self) -> Result<Vec<LoggedRequest>, Error> {
        let mut requests = self.requests().await?;
        requests.retain(|request| request.mutating);
        Ok(requests)
    }

    /// Empties the request log.
    pub async fn clear_requests(&self) -> Result<(), Error> {
        self.send(Method::DELETE, "requests", None).await.map(drop)
    }

    /// Injects a fault.
    pub async fn inject(&self, fault: &Fault) -> Result<(), Error> {
        self.send(Method::POST, "faults", Some(json!(fault))).await.map(drop)
    }

    /// Removes all faults.
    pub async fn clear_faults(&self) -> Result<(), Error> {
        self.send(Method::DELETE, "faults", None).await.map(drop)
    }

    /// Sets what health a target shows from its registration on, instead of the computed one.
    pub async fn script_health(&self, instance: &str, steps: &[HealthStep]) -> Result<(), Error> {
        let scripts = json!({ instance: steps });
        self.send(Method::PUT, "health-scripts", Some(scripts)).await.map(drop)
    }

    /// Returns to the computed health for all targets.
    pub async fn clear_health_scripts(&self) -> Result<(), Error> {
        self.send(Method::DELETE, "health-scripts", None).await.map(drop)
    }

    /// Makes a certificate fail, with a reason of aws-facts 1.4 such as `CAA_ERROR`.
    pub async fn fail_certificate(&self, which: &CertificateFailure, reason: &str) -> Result<(), Error> {
        let body = match which {
            CertificateFailure::Arn(arn) => json!({ "arn": arn, "reason": reason }),
            CertificateFailure::Domain(domain) => json!({ "domain": domain, "reason": reason }),
        };
        self.send(Method::POST, "certificates/fail", Some(body)).await.map(drop)
    }

    /// Says how the renewal of the issued certificates of a domain stands, and how long they are valid.
    pub async fn order_renewal(&self, domain: &str, renewal: &Renewal) -> Result<(), Error> {
        let mut body = json!(renewal);
        body["domain"] = json!(domain);
        self.send(Method::PUT, "certificates/renewal", Some(body))
            .await
            .map(drop)
    }

    /// Sets the public IPv4 addresses of instances.
    pub async fn set_public_addresses(&self, addresses: &BTreeMap<String, Ipv4Addr>) -> Result<(), Error> {
        self.send(Method::PUT, "public-addresses", Some(json!(addresses)))
            .await
            .map(drop)
    }

    /// Reads the world as it is.
    pub async fn world(&self) -> Result<World, Error> {
        self.json(Method::GET, "world", None).await
    }

    /// Waits until the world is another than that of `version`, or until `wait` is over, and reads it.
    pub async fn world_since(&self, version: u64, wait: Duration) -> Result<World, Error> {
        let path = format!("world?since={version}&wait={}", wait.as_secs_f64());
        self.json(Method::GET, &path, None).await
    }

    /// Tells whether the control interface answers.
    pub async fn is_healthy(&self) -> bool {
        self.send(Method::GET, "health", None).await.is_ok()
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Error> {
        let bytes = self.send(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(Error::unreadable(path, &String::from_utf8_lossy(&bytes)))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Bytes, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            method: method.to_string(),
            path: path.to_owned(),
            reason,
        };
        let body = body.map(|value| value.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("/_control/{path}"))
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreachable(error.to_string()))?;
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let response = http1::exchange(stream, request)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        if !response.status().is_success() {
            return Err(Error::Refused {
                method: method.to_string(),
                path: path.to_owned(),
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body()).chars().take(400).collect(),
            });
        }
        Ok(response.into_body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_send_only_what_is_set() {
        let settings = Settings {
            issue_after: Some(0.5),
            ..Settings::default()
        };
        assert_eq!(json!(settings), json!({ "issue_after": 0.5 }));
    }

    #[test]
    fn a_health_script_reads_as_the_contract_says() {
        let steps = [
            HealthStep::new("unhealthy", "Target.ResponseCodeMismatch", "codes: [301]").lasting(Duration::from_secs(2)),
            HealthStep::healthy(),
        ];
        assert_eq!(
            json!(steps),
            json!([
                { "state": "unhealthy", "reason": "Target.ResponseCodeMismatch",
                  "description": "codes: [301]", "for": 2.0 },
                { "state": "healthy" },
            ])
        );
    }

    #[test]
    fn a_fault_reads_as_the_contract_says() {
        let fault = Fault::new("elbv2", "CreateListener", FaultKind::DropAfter).times(1);
        assert_eq!(
            json!(fault),
            json!({ "service": "elbv2", "action": "CreateListener", "kind": "drop_after",
                    "times": 1, "probability": 1.0 })
        );
    }
}
