//! An AWS emulator for development: moto's server under strict rules (the control plane) and, on loopback, the DNS
//! server, load balancers and web servers that behave as the emulated world says (the data plane).
//!
//! Nothing here is part of the product. The tool reaches the emulator as a user would point it at any endpoint: by
//! `AWS_ENDPOINT_URL`, `--dns-server`, `--ca-file` and `--connect-to`.

mod control;
mod data_plane;
mod environment;
mod error;
mod http1;
pub mod model;
mod server;
mod visitor;
mod world;

pub use control::{CertificateFailure, Control, Fault, FaultKind, HealthStep, LoggedRequest, Settings};
pub use data_plane::{CertificateIssuer, DataPlane, DataPlaneOptions, ForceHttps, Route, WebServer};
pub use environment::PythonEnvironment;
pub use error::Error;
pub use server::{Emulator, Options};
pub use visitor::{Failure, Report, Visitor, VisitorOptions};
pub use world::{Scene, Seed, Seeded, SeededInstance, SeededSubnet, seed};
