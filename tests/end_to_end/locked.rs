//! Two runs at once on one state file, without patience.

use std::time::Duration;

use reconcile_emulator::{Fault, FaultKind};

use crate::support::{NO_DRAIN, inventory, no_changes, scene, until_requested};

#[tokio::test]
async fn a_second_run_ends_at_once_and_names_the_first_which_works_on() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let control = scene.emulator.control();
    // It keeps the first run at work while the others come.
    let late = Fault::new("acm", "RequestCertificate", FaultKind::Latency).delay(Duration::from_secs(15));
    control.inject(&late).await.unwrap();
    let first = desk.start(&["--yes"]);
    let process = first.id().unwrap();
    until_requested(&scene.emulator, "RequestCertificate").await;

    for arguments in [["apply", "--yes"], ["rollback", "--yes"], ["destroy", "--yes"]] {
        desk.run(&arguments)
            .await
            .expect(1)
            .says(&format!("`reconcile apply`, process {process} on "))
            .says(", since ")
            .says("nothing was changed");
    }
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);

    let output = tokio::time::timeout(Duration::from_mins(2), first.wait_with_output()).await;
    assert_eq!(output.expect("in time").unwrap().status.code(), Some(0));
    no_changes(&desk).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["certificates"].as_array().unwrap().len(), 1);
}
