//! The bucket that a state is kept in: whose it is, how it encrypts, and what S3 may answer.

use reconcile_emulator::{Emulator, Fault, FaultKind, Scene};

use crate::{
    shared_state::{ON_S3, make_bucket},
    support::{Desk, NO_DRAIN, mutating_actions, no_changes, scene},
};

const KEY: &str = "arn:aws:kms:ap-northeast-1:123456789012:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

async fn desk_with(settings: &str) -> (Scene, Desk) {
    let (scene, desk) = scene(1, &format!("{NO_DRAIN}{ON_S3}{settings}")).await;
    make_bucket(&scene.emulator).await;
    (scene, desk)
}

/// Every version of the state and of its lock: how it is encrypted.
async fn encryptions(emulator: &Emulator) -> Vec<(String, String)> {
    const LOOK: &str = r#"
s3 = client("s3")
found = []
for item in s3.list_object_versions(Bucket="my-states").get("Versions", []):
    head = s3.head_object(Bucket="my-states", Key=item["Key"], VersionId=item["VersionId"])
    found.append([head.get("ServerSideEncryption", ""), head.get("SSEKMSKeyId", "")])
show(found)
"#;
    serde_json::from_value(emulator.boto3(LOOK).await.unwrap()).unwrap()
}

#[tokio::test]
async fn everything_in_it_is_encrypted_with_the_key_that_is_named() {
    let (scene, desk) = desk_with(&format!("kms_key = \"{KEY}\"\nbucket_owner = \"123456789012\"\n")).await;
    desk.run(&["--yes", "--until", "prepare"]).await.expect(0);
    let found = encryptions(&scene.emulator).await;
    assert!(found.len() > 10, "the lock, and a version for every write: {found:?}");
    for encryption in found {
        assert_eq!(encryption, ("aws:kms".to_owned(), KEY.to_owned()));
    }
}

#[tokio::test]
async fn a_bucket_of_another_account_or_region_is_not_used() {
    for (settings, told) in [
        ("bucket_owner = \"210987654321\"\n", "if `state.bucket_owner` is set"),
        ("region = \"eu-west-1\"\n", "is not in eu-west-1: set `state.region`"),
    ] {
        let (scene, desk) = desk_with(settings).await;
        scene.emulator.control().clear_requests().await.unwrap();
        desk.run(&["plan"]).await.expect(1).says(told);
        desk.run(&["--yes"]).await.expect(1);
        let asked = mutating_actions(&scene.emulator).await;
        assert!(asked.iter().all(|action| action == "PutObject"), "{asked:?}");
        assert_eq!(encryptions(&scene.emulator).await, [], "nothing is written");
    }
}

#[tokio::test]
async fn what_is_not_allowed_on_it_is_named() {
    let (scene, desk) = desk_with("").await;
    let control = scene.emulator.control();
    for (action, exit_code) in [("GetObject", 1), ("PutObject", 1), ("GetBucketVersioning", 0)] {
        control.clear_requests().await.unwrap();
        control
            .inject(&Fault::new("s3", action, FaultKind::Deny))
            .await
            .unwrap();
        let run = desk.run(&["--yes", "--until", "prepare"]).await.expect(exit_code);
        run.says(&format!("s3:{action}"));
        control.clear_faults().await.unwrap();
        if exit_code != 0 {
            let asked = mutating_actions(&scene.emulator).await;
            let is_the_lock = |asked: &String| ["PutObject", "DeleteObject"].contains(&asked.as_str());
            assert!(asked.iter().all(is_the_lock), "{asked:?}");
        }
    }
    no_more_is_needed(&desk).await;
}

/// A run that finds everything as the one before it left it.
async fn no_more_is_needed(desk: &Desk) {
    desk.run(&["--yes", "--until", "prepare"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn writes_that_collide_or_whose_answers_are_lost_are_made_once() {
    let (scene, desk) = desk_with("").await;
    let control = scene.emulator.control();
    let busy = |action: &str| {
        Fault::new("s3", action, FaultKind::Error)
            .status(409)
            .code("ConditionalRequestConflict", "The conditional request cannot succeed.")
    };
    let lost = |action: &str| Fault::new("s3", action, FaultKind::DropAfter);
    for fault in [
        // The lock, the first state, one in the middle, and the lock again.
        lost("PutObject").times(1),
        busy("PutObject").after(2).times(2),
        lost("PutObject").after(9).times(2),
        busy("DeleteObject").times(1),
        lost("DeleteObject").after(1).times(1),
    ] {
        control.inject(&fault).await.unwrap();
    }
    desk.run(&["--yes"]).await.expect(0);
    control.clear_faults().await.unwrap();
    no_changes(&desk).await;
}
