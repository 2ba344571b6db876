//! Development commands of this repository, behind aliases in `.cargo/config.toml`.
//!
//! They exist because one `cargo` alias cannot first build one program and then run another. Everything is built as a
//! whole workspace, so that `cargo demo` and `cargo test` share one build of every dependency.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// The commands with what they do.
const COMMANDS: [(&str, &str); 2] = [
    ("demo", "shows the whole story on the emulator"),
    ("emulator", "starts the emulator to play with by hand"),
];

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let known = COMMANDS.iter().find(|(name, _)| command == *name);
    let Some((name, _)) = known else {
        let names: Vec<String> = COMMANDS
            .iter()
            .map(|(name, what)| format!("  {name:<10} {what}"))
            .collect();
        return fail(&format!("usage: xtask COMMAND\n{}", names.join("\n")));
    };
    match run(name, arguments) {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

/// Builds all programs of the workspace, then runs `program` with `arguments`.
fn run(program: &str, arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Command::new(&cargo)
        .args(["build", "--workspace", "--bins"])
        .status()
        .map_err(|error| format!("cannot start {}: {error}", cargo.display()))?;
    if !build.success() {
        return Err("the build failed".to_owned());
    }
    let here = env::current_exe().map_err(|error| format!("cannot find this program's folder: {error}"))?;
    let program: PathBuf = here.with_file_name(program).with_extension(env::consts::EXE_EXTENSION);
    let status = Command::new(&program)
        .args(arguments)
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

#[expect(clippy::print_stderr, reason = "this is the only output of the program")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
