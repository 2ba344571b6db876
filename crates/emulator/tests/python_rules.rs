//! The strict rules' own tests: Python, through boto3, without the tool.

use reconcile_emulator::PythonEnvironment;

#[test]
fn the_strict_rules_hold() {
    let environment = PythonEnvironment::prepare().expect("a Python environment");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
    let output = environment
        .command()
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"])
        .current_dir(folder)
        .output()
        .expect("pytest runs");
    assert!(
        output.status.success(),
        "pytest ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
