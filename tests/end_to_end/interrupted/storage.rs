//! Where the state, the result or the progress cannot be written.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::{count, is_carried_on, slow};
use crate::{
    support::{NO_DRAIN, inventory, mutating_actions, scene},
    watched::{Watched, under_way},
};

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_stops_the_run_before_any_change() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    // The smallest state is longer than this.
    desk.run_in(&json!({ "largest_file": 100 }), &["--yes"])
        .await
        .expect(1)
        .says("the state cannot be written; nothing was changed")
        .says("state/www-example-com.json")
        .says("hint: make room or mend the permissions there, then run again");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_disk_that_becomes_full_in_the_middle_stops_the_run_and_the_next_one_converges() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    // Enough for some objects, not for all.
    for room in [900, 1800] {
        scene.emulator.control().clear_requests().await.unwrap();
        let run = desk.run_in(&json!({ "largest_file": room }), &["--yes"]).await;
        println!("{}\n{}", run.stdout, run.stderr);
        run.expect(1)
            .shows("Not done: ")
            .shows("The state could not be saved to the end.")
            .says("cannot store the state in `state/www-example-com.json`")
            .says("hint: make room or mend the permissions there, then run again");
        let begun = mutating_actions(&scene.emulator).await;
        assert!(!begun.is_empty(), "the disk was full too early to tell anything");
        let held = fs::metadata(desk.state_file()).unwrap().len();
        assert!(held <= room, "the state that was whole is left");
        desk.state();
        let seen = inventory(&scene.emulator, &scene.world).await;
        assert_eq!(count(&seen, "listeners"), 0, "visitors are far away from moving");
    }
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written_stops_the_run_before_any_change() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let folder = desk.state_file().parent().unwrap().to_owned();

    // A file in the place of the folder.
    fs::write(&folder, "").unwrap();
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("cannot lock the state file by `state/www-example-com.json.lock`")
        .says("hint: make the folder writable, or choose another file with `--state`");
    fs::remove_file(&folder).unwrap();

    // A folder that is read-only.
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let obeys = json!({ "obey_permissions": true });
    desk.run_in(&obeys, &["--yes"])
        .await
        .expect(1)
        .says("cannot lock the state file by `state/www-example-com.json.lock`")
        .says("Permission denied");

    // A folder that became read-only after an earlier run.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("www-example-com.json.lock"), "").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    desk.run_in(&obeys, &["--yes"])
        .await
        .expect(1)
        .says("the state cannot be written; nothing was changed")
        .says("Permission denied")
        .says("hint: make room or mend the permissions there, then run again");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();

    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_in_the_middle_does_not_stop_the_run() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    slow(&scene, 1).await;
    let mut run = Watched::start(&desk, &["--yes"]);
    under_way(&scene.emulator, "CreateLoadBalancer").await;
    run.close_stdout();
    let (run, _) = run.end().await;
    run.expect(0).says("Done: ");
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_log_that_goes_away_in_the_middle_does_not_stop_the_run() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    slow(&scene, 1).await;
    // At the most verbose level the logger writes too.
    let mut child = desk.start(&["--yes", "-vv"]);
    under_way(&scene.emulator, "CreateLoadBalancer").await;
    drop(child.stderr.take());
    let output = child.wait_with_output().await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("Done: "), "{stdout}");
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_plan_that_nobody_reads_is_not_carried_out() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let mut run = Watched::start(&desk, &["--yes"]);
    run.close_stdout();
    let (run, _) = run.end().await;
    run.expect(1)
        .says("error: nobody reads the plan on stdout; nothing was changed");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
}

#[tokio::test]
async fn files_are_the_owners_alone_whatever_the_umask() {
    let (_scene, desk) = scene(1, NO_DRAIN).await;
    let open = json!({ "umask": 0 });
    desk.run_in(&open, &["--yes"]).await.expect(0);
    let folder = desk.state_file().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let everybodys = || {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| mode(file) & 0o077 != 0).collect::<Vec<_>>()
    };
    assert_eq!(everybodys(), Vec::<std::path::PathBuf>::new());
    assert_eq!(mode(&folder), 0o700);

    // One that was made readable is closed again by the next run that writes it.
    fs::set_permissions(desk.state_file(), fs::Permissions::from_mode(0o666)).unwrap();
    let config = fs::read_to_string(desk.folder.path().join("reconcile.toml")).unwrap();
    desk.configure(&format!("tags = {{ team = \"web\" }}\n{config}"));
    desk.run_in(&open, &["--yes"]).await.expect(0);
    assert_eq!(everybodys(), Vec::<std::path::PathBuf>::new());
}
