//! What `--verbose` writes to stderr.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::output::Notes;

/// Sets logging up. Only this program's own crates speak: the SDK's could write headers with credentials.
pub(crate) fn start(verbose: u8, is_coloured: bool) {
    let level = match verbose {
        0 => return,
        1 => "debug",
        _ => "trace",
    };
    let ours = [
        "reconcile",
        "reconcile_core",
        "reconcile_engine",
        "reconcile_aws",
        "reconcile_probe",
    ];
    let directives = ours.map(|name| format!("{name}={level}")).join(",");
    // The environment's RUST_LOG has no say in it.
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::OFF.into())
        .parse_lossy(directives);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(verbose > 1)
        .with_writer(|| Notes)
        .with_ansi(is_coloured)
        .finish();
    // It is set once; that another one stands already cannot be.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
