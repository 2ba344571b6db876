//! Two runs at once on one state file, without patience.

use std::time::Duration;

use reconcile_emulator::Gate;

use crate::support::{NO_DRAIN, mutating_actions, no_changes, scene};

#[tokio::test]
async fn a_second_run_ends_at_once_and_names_the_first_which_works_on() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let control = scene.emulator.control();
    control.close_gate(Gate::Before, 1).await.unwrap();
    let first = desk.start(&["--yes"]);
    let process = first.id().unwrap();
    assert!(control.at_gate(Duration::from_mins(1)).await.unwrap().reached);

    for arguments in [["apply", "--yes"], ["rollback", "--yes"], ["destroy", "--yes"]] {
        desk.run(&arguments)
            .await
            .expect(1)
            .says(&format!("`reconcile apply`, process {process} on "))
            .says(", since ")
            .says("nothing was changed");
    }
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);

    control.remove_gate().await.unwrap();
    let output = tokio::time::timeout(Duration::from_mins(2), first.wait_with_output()).await;
    assert_eq!(output.expect("in time").unwrap().status.code(), Some(0));
    no_changes(&desk).await;
    let certificates = mutating_actions(&scene.emulator).await;
    let certificates = certificates.iter().filter(|action| *action == "RequestCertificate");
    assert_eq!(certificates.count(), 1);
}
