//! Starts the emulator with its data plane and the world of the story, for playing by hand.

use std::fmt::Write as _;
use std::io::Write;

use reconcile_emulator::{Error, Options, PythonEnvironment, Scene, Seed};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                let _ = write!(text, ": {error}");
                cause = error.source();
            }
            let _ = writeln!(std::io::stderr(), "{text}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let mut messages = std::io::stderr();
    if !PythonEnvironment::is_prepared() {
        let _ = writeln!(messages, "making the Python environment (once, about a minute) ...");
    }
    let scene = Scene::start(Options::default(), &Seed::default()).await?;
    let _ = std::io::stdout().write_all(instructions(&scene).as_bytes());
    let _ = writeln!(messages, "running; ends with Ctrl-C or at the end of standard input");

    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = end_of_input() => {}
    }
    Ok(())
}

fn instructions(scene: &Scene) -> String {
    let Scene {
        data_plane,
        emulator,
        world,
    } = scene;
    let exports: Vec<String> = emulator
        .environment()
        .into_iter()
        .map(|(name, value)| format!("export {name}={value}"))
        .collect();
    let (instance, domain) = (world.instance(), &world.domain);
    format!(
        "# The emulated AWS\n{}\n\n\
         # A configuration (reconcile.toml)\n#   region = \"{}\"\n#   [site.www]\n#   domain   = \"{domain}\"\n\
         #   instance = \"{}\"\n#   health   = {{ path = \"/\" }}\n\n\
         # Options for the tool\n#   {}\n\n\
         # The site, as it stands now\n#   curl -k --connect-to {domain}:443:{}:{} https://{domain}/\n",
        exports.join("\n"),
        emulator.region(),
        instance.id,
        data_plane.arguments().join(" "),
        instance.public,
        data_plane.real_port(443).unwrap_or(443),
    )
}

/// A terminal's input ends with Ctrl-D; what is typed until then is nobody's business.
async fn end_of_input() {
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait for a read of its own before it ends.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
