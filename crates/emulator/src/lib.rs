//! An AWS emulator for development: moto's server under strict rules (the control plane) and, on loopback, the DNS
//! server, load balancers and web servers that behave as the emulated world says (the data plane).
//!
//! Nothing here is part of the product. The tool reaches the emulator as a user would point it at any endpoint: by
//! `AWS_ENDPOINT_URL`, `--dns-server`, `--ca-file` and `--connect-to`.
//!
//! ```no_run
//! # async fn example() -> Result<(), reconcile_emulator::Error> {
//! use reconcile_emulator::{Options, Scene, Seed, Visitor, VisitorOptions};
//!
//! let scene = Scene::start(Options::default(), &Seed::default()).await?;
//! let visitor = Visitor::start(
//!     &scene.data_plane,
//!     VisitorOptions::of(&scene.world.domain).trusting(scene.instance_certificates()),
//! )?;
//!
//! let mut tool = std::process::Command::new("reconcile");
//! tool.args(["apply", "--yes"]).args(scene.data_plane.arguments());
//! scene.emulator.configure(&mut tool);
//! // ... run it ...
//!
//! let balancers = scene.emulator.boto3("show(client('elbv2').describe_load_balancers())").await?;
//! assert_eq!(visitor.stop().await.failed, 0);
//! # Ok(())
//! # }
//! ```

mod control;
mod data_plane;
mod environment;
mod error;
mod gate;
mod http1;
mod inventory;
pub mod model;
mod server;
mod snippets;
mod visitor;
mod world;

pub use control::{CertificateFailure, Control, Fault, FaultKind, HealthStep, LoggedRequest, Renewal, Settings};
pub use data_plane::{CertificateIssuer, DataPlane, DataPlaneOptions, ForceHttps, ForeignHosts, Route, WebServer};
pub use environment::PythonEnvironment;
pub use error::Error;
pub use gate::{AtGate, Gate};
pub use server::{Emulator, Options};
pub use snippets::Snippets;
pub use visitor::{Failure, Report, Visitor, VisitorOptions};
pub use world::{Scene, Seed, SeedSite, Seeded, SeededInstance, SeededSite, SeededSubnet, seed};
