//! Starts the emulator with its data plane and the world of the story, for playing by hand.

use std::fmt::Write as _;
use std::io::Write;

use reconcile_emulator::{Error, Options, PythonEnvironment, Scene, Seed, SeedSite, SeededSite};

const USAGE: &str = "\
usage: cargo emulator [--instances N] [DOMAIN]...

Starts an emulated AWS with www.example.com on N instances (1 unless said), and with each
DOMAIN as a further site on as many instances of its own, until Ctrl-C or the end of standard
input.
";
/// As many as there are addresses for, a few sites given.
const MOST_INSTANCES: u8 = 8;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let Some(seed) = wanted(std::env::args().skip(1)) else {
        let _ = std::io::stderr().write_all(USAGE.as_bytes());
        return std::process::ExitCode::FAILURE;
    };
    match run(&seed).await {
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

/// The world that the command line asks for; `None` if it cannot be understood.
fn wanted(mut arguments: impl Iterator<Item = String>) -> Option<Seed> {
    let mut seed = Seed::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--instances" => {
                let instances = arguments.next()?.parse().ok()?;
                seed.instances = (1..=MOST_INSTANCES).contains(&instances).then_some(instances)?;
            }
            domain if domain.contains('.') && !domain.starts_with('-') => {
                seed.further_sites.push(SeedSite::of(domain));
            }
            _ => return None,
        }
    }
    for site in &mut seed.further_sites {
        site.instances = seed.instances;
    }
    Some(seed)
}

async fn run(seed: &Seed) -> Result<(), Error> {
    let mut messages = std::io::stderr();
    if !PythonEnvironment::is_prepared() {
        let _ = writeln!(messages, "making the Python environment (once, about a minute) ...");
    }
    let scene = Scene::start(Options::default(), seed).await?;
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
    let sites: Vec<String> = world.sites.iter().map(site).collect();
    let visits: Vec<String> = world
        .sites
        .iter()
        .flat_map(|site| {
            site.instances
                .iter()
                .map(move |instance| (&site.domain, instance.public))
        })
        .map(|(domain, address)| {
            let port = data_plane.real_port(443).unwrap_or(443);
            format!("#   curl -k --connect-to {domain}:443:{address}:{port} https://{domain}/")
        })
        .collect();
    format!(
        "# The emulated AWS\n{}\n\n\
         # A configuration (reconcile.toml)\n#   region = \"{}\"\n{}\n\
         # Options for the tool\n#   {}\n\n\
         # What is there, as it stands now\n{}\n",
        exports.join("\n"),
        emulator.region(),
        sites.concat(),
        data_plane.arguments().join(" "),
        visits.join("\n"),
    )
}

/// A site's part of the configuration, called by the first label of its name.
fn site(site: &SeededSite) -> String {
    let domain = &site.domain;
    let instances: Vec<String> = site.instances.iter().map(|it| format!("\"{}\"", it.id)).collect();
    let instances = match instances.as_slice() {
        [instance] => format!("instance = {instance}"),
        several => format!("instances = [{}]", several.join(", ")),
    };
    format!(
        "#\n#   [site.{}]\n#   domain = \"{domain}\"\n#   {instances}\n#   health = {{ path = \"/\" }}\n",
        domain.split('.').next().unwrap_or(domain),
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
