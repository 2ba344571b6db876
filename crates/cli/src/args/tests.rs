//! What is understood of a command line, and what is not.

use clap::CommandFactory;
use reconcile_core::{import::Place, plan::Stage};

use super::*;

fn parsed(line: &str) -> (Command, CommonArgs) {
    parse(line.split(' ')).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(line: &str) -> (u8, String) {
    let error = parse(line.split(' ')).unwrap_err();
    (exit_code(&error), error.to_string())
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_applies() {
    let (command, common) = parsed("reconcile --yes --until prove");
    let (same, _) = parsed("reconcile apply --yes --until prove");
    assert_eq!(command, same);
    assert_eq!(common.config, PathBuf::from("reconcile.toml"));
    assert_eq!(common.state, None);
    let Command::Apply(apply) = command else { panic!() };
    assert!(apply.run.yes);
    assert_eq!(apply.run.cut.until.map(Stage::from), Some(Stage::Prove));
}

#[test]
fn a_saved_plan_is_named_after_apply_only() {
    let (command, _) = parsed("reconcile apply plan.json --format json");
    let Command::Apply(apply) = command else { panic!() };
    assert_eq!(apply.file, Some(PathBuf::from("plan.json")));
    assert_eq!(apply.run.events.heartbeat(), Some(Duration::from_secs(30)));
    assert_eq!(ApplyArgs::default().run.events.heartbeat(), None);
    assert_eq!(refused("reconcile plan.json").0, 64);
}

#[test]
fn common_options_stand_before_and_after_the_command() {
    let (_, before) = parsed("reconcile --config a.toml --connect-to ::127.0.0.1:8443 plan");
    let (_, after) = parsed("reconcile plan --config a.toml --connect-to ::127.0.0.1:8443");
    assert_eq!(before, after);
    assert_eq!(before.network.options().connect_to.len(), 1);
}

#[test]
fn the_state_has_commands_of_its_own() {
    let (command, common) = parsed("reconcile state rm target_group.www listener.443 --yes --state x.json");
    assert_eq!(command.name(), "state rm");
    assert_eq!(common.state, Some(PathBuf::from("x.json")));
    let Command::State(StateCommand::Rm { addresses, id, yes }) = command else {
        panic!()
    };
    assert_eq!((addresses.len(), id.len(), yes), (2, 0, true));
    let (command, _) = parsed("reconcile import certificate.www arn:x");
    assert!(matches!(
        command,
        Command::Import(ImportArgs {
            place: Place::Address(_),
            yes: false,
            ..
        })
    ));
}

#[test]
fn usage_errors_have_a_code_of_their_own() {
    for (line, said) in [
        ("reconcile --nonsense", "--nonsense"),
        ("reconcile destroy-everything", "destroy-everything"),
        ("reconcile plan --until cleanup", "cleanup"),
        ("reconcile plan --yes", "--yes"),
        ("reconcile plan --out -", "goes to a file"),
        ("reconcile plan --format yaml", "markdown"),
        ("reconcile apply plan.json --until prove", "--until"),
        ("reconcile apply --format markdown", "json"),
        ("reconcile apply --heartbeat 0s", "such as `5s`"),
        ("reconcile rollback --out back.json", "--dry-run"),
        ("reconcile --yes schema plan", "takes none"),
        ("reconcile schema state", "plan-file"),
        ("reconcile --yes plan", "after its name"),
        ("reconcile --until prove validate", "takes none"),
        ("reconcile --yes status", "takes none"),
        ("reconcile status --strict", "--check"),
        ("reconcile status --format xml", "json"),
        ("reconcile --yes verify", "takes none"),
        ("reconcile verify --format yaml", "yaml"),
        ("reconcile --yes state list", "takes none"),
        ("reconcile state", "Usage"),
        ("reconcile state show www", "expected for example `target_group.www`"),
        ("reconcile state rm", "ADDRESSES"),
        ("reconcile import tg arn:x", "neither a kind nor the address"),
        ("reconcile --dns-server dns.example.com plan", "DNS server"),
        ("reconcile --connect-to a:1 plan", "HOST1:PORT1:HOST2:PORT2"),
        ("reconcile --resolve www.example.com plan", "HOST:PORT:ADDR"),
        ("reconcile --poll-interval 5", "such as `5s`"),
        ("reconcile --poll-interval 0s", "such as `5s`"),
    ] {
        let (code, message) = refused(line);
        assert_eq!(code, 64, "{line}");
        assert!(message.contains(said), "{line}: {message}");
    }
}

/// Every command below `command` as it is typed.
fn typed(before: &str, command: &clap::Command) -> Vec<String> {
    let this = format!("{before} {}", command.get_name());
    match command.get_subcommands().collect::<Vec<_>>().as_slice() {
        [] => vec![this],
        below => below.iter().flat_map(|command| typed(&this, command)).collect(),
    }
}

#[test]
fn the_reference_has_every_command_common_option_and_exit_code() {
    const REFERENCE: &str = include_str!("../../../../docs/src/reference/commands.md");
    let cli = Cli::command();
    let commands = cli.get_subcommands().flat_map(|command| typed("reconcile", command));
    let missing: Vec<String> = commands
        .filter(|command| !REFERENCE.contains(&format!("`{command}")))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    let options = CommonArgs::augment_args(clap::Command::new("common"));
    let names = options.get_arguments().filter_map(|argument| argument.get_long());
    let missing: Vec<&str> = names
        .filter(|name| !REFERENCE.contains(&format!("`--{name}")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    let codes = EXIT_CODES.lines().skip(1).take_while(|line| !line.is_empty());
    let codes = codes.filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok());
    let missing: Vec<u8> = codes
        .filter(|code| !REFERENCE.contains(&format!("\n| {code} |")))
        .collect();
    assert_eq!(missing, Vec::<u8>::new());
}

#[test]
fn help_is_no_error_and_tells_the_exit_codes() {
    for line in ["reconcile --help", "reconcile plan --help", "reconcile --version"] {
        assert_eq!(refused(line).0, 0, "{line}");
    }
    assert!(
        refused("reconcile --help")
            .1
            .contains("--detailed-exitcode: changes are pending")
    );
}

/// The command lines of `reconcile` in a script, a workflow or a page, without what a shell makes of the rest of the line.
fn command_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().map(|line| line.replace("\"$RECONCILE\" ", "reconcile ")) {
        let line = line.trim_start();
        let line = line
            .strip_prefix("run: ")
            .or_else(|| line.strip_prefix("- run: "))
            .unwrap_or(line);
        if !line.starts_with("reconcile ") || line.ends_with('\\') {
            continue;
        }
        let words = line
            .split_whitespace()
            .take_while(|word| !matches!(*word, "|" | "||" | "&&" | ">" | ">>"));
        let words: Vec<&str> = words.filter(|word| *word != "\"$@\"").collect();
        found.push(words.join(" ").replace("\"$PLAN\"", "plan.json"));
    }
    found
}

#[test]
fn every_command_line_of_the_examples_is_understood() {
    for (text, least) in [
        (include_str!("../../../../examples/github-actions/reconcile.yml"), 5),
        (include_str!("../../../../examples/shell/reconcile.sh"), 4),
        (include_str!("../../../../docs/src/how-to/pipelines.md"), 1),
    ] {
        let lines = command_lines(text);
        assert!(lines.len() >= least, "{lines:?}");
        for line in lines {
            parsed(&line);
        }
    }
}
