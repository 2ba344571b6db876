//! `status`: what is wrong shows on its line, and decides the exit code that a daily pipeline looks at.

use reconcile_emulator::{HealthStep, Settings};
use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, scene};

/// What the snippets of this file can use.
const PRELUDE: &str = r#"
elb, ec2, acm, r53 = client("elbv2"), client("ec2"), client("acm"), client("route53")
zone = given["zone"]
def change(action, record): r53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]})
listener = elb.describe_listeners(LoadBalancerArn=elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"])["Listeners"][0]["ListenerArn"]
"#;

/// The report as JSON.
async fn report(desk: &Desk) -> Value {
    let run = desk.run(&["status", "--format", "json"]).await.expect(0);
    serde_json::from_str(&run.stdout).unwrap()
}

/// Every failure as `subject: name`.
fn failures(report: &Value) -> Vec<String> {
    assert_eq!(report["format_version"], 1);
    let groups = report["groups"].as_array().unwrap();
    let checks = groups.iter().flat_map(|group| group["checks"].as_array().unwrap());
    checks
        .filter(|check| check["verdict"] == "failure")
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap();
            assert!(!text("message").is_empty() && !text("remedy").is_empty(), "{check}");
            format!("{}: {}", text("subject"), text("name"))
        })
        .collect()
}

#[tokio::test]
async fn what_is_wrong_shows_on_its_line_and_in_the_exit_code() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let given = json!({ "zone": scene.world.zone });
    let by_hand = async |python: &str| {
        let snippet = format!("{PRELUDE}{python}");
        scene.emulator.boto3_with(&snippet, &given).await.unwrap();
    };

    // Before the first apply nothing is broken, and nothing there.
    let run = desk.run(&["status", "--check"]).await.expect(0);
    run.shows("warning  load_balancer.main").shows("not made yet");

    desk.run(&["--yes"]).await.expect(0);
    let run = desk.run(&["status", "--check"]).await.expect(0);
    let domain = &scene.world.domain;
    for line in [
        "ok       certificate.www ",
        "ISSUED; as configured",
        "active; as configured",
        "healthy; as configured",
        "A leads to the load balancer; as configured",
        "closed to all but the load balancer",
        "Certificate certificate.www of www",
        "issued by Amazon",
        "by the load balancer",
        "the one that ACM holds",
        &format!("validation record {domain}  as ACM wants it"),
        "no records, so that Amazon may issue",
    ] {
        assert!(run.stdout.contains(line), "expected `{line}` in\n{}", run.stdout);
    }
    for word in ["failure", "unknown"] {
        assert!(!run.stdout.contains(word), "{}", run.stdout);
    }
    assert_eq!(failures(&report(&desk).await), Vec::<String>::new());

    by_hand(
        r#"
record = next(r for r in r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Type"] == "CNAME")
change("DELETE", record)"#,
    )
    .await;
    let expected = [format!("certificate.www: validation record {domain}")];
    assert_eq!(failures(&report(&desk).await), expected);
    desk.run(&["status", "--check"])
        .await
        .expect(1)
        .shows("without it the certificate ends at");
    desk.run(&["status"]).await.expect(0);
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["status", "--check"]).await.expect(0);

    by_hand(
        r#"change("CREATE", {"Name": "example.com.", "Type": "CAA", "TTL": 60, "ResourceRecords": [{"Value": "0 issue \"letsencrypt.org\""}]})"#,
    )
    .await;
    assert_eq!(
        failures(&report(&desk).await),
        [format!("certificate.www: CAA {domain}")]
    );
    desk.run(&["status", "--check"])
        .await
        .expect(1)
        .shows("forbid Amazon to issue");
    by_hand(
        r#"change("DELETE", {"Name": "example.com.", "Type": "CAA", "TTL": 60, "ResourceRecords": [{"Value": "0 issue \"letsencrypt.org\""}]})"#,
    )
    .await;

    let instance = &scene.world.instance().id;
    let control = scene.emulator.control();
    let mismatch = HealthStep::new("unhealthy", "Target.ResponseCodeMismatch", "codes: [301]");
    control.script_health(instance, &[mismatch]).await.unwrap();
    assert_eq!(
        failures(&report(&desk).await),
        [format!("target.www.{instance}: health")]
    );
    desk.run(&["status", "--check"])
        .await
        .expect(1)
        .shows("unhealthy (Target.ResponseCodeMismatch: codes: [301])")
        .shows("301 or 302: the path redirects");
    control.clear_health_scripts().await.unwrap();

    // A certificate without a listener is not renewed.
    let at_once = Settings {
        interfaces_linger_for: Some(0.0),
        ..Settings::default()
    };
    control.change_settings(at_once).await.unwrap();
    desk.age_state();
    by_hand(r#"elb.delete_listener(ListenerArn=listener)"#).await;
    let expected = ["listener.443: health", "certificate.www: in use"];
    let mut found = failures(&report(&desk).await);
    // Visitors of a load balancer without a listener find nothing, which says nothing of the certificate.
    found.retain(|failure| !failure.contains("target.www"));
    assert_eq!(found, expected);
    desk.run(&["status", "--check"])
        .await
        .expect(1)
        .shows("by nothing: ACM renews only what is in use")
        .shows("gone from AWS");
    let seen = scene.emulator.control().mutating_requests().await.unwrap();
    let count = seen.len();
    desk.run(&["status"]).await.expect(0);
    let seen = scene.emulator.control().mutating_requests().await.unwrap();
    assert_eq!(seen.len(), count, "status changes nothing");
}

#[tokio::test]
async fn a_certificate_that_is_not_the_stored_one_is_found() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);
    // Another certificate for the same name on the listener.
    let given = json!({ "zone": scene.world.zone, "domain": scene.world.domain });
    let snippet = r#"
import time
arn = acm.request_certificate(DomainName=given["domain"], ValidationMethod="DNS")["CertificateArn"]
for _ in range(100):
    time.sleep(0.1)
    try:
        if acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED": break
    except acm.exceptions.ResourceNotFoundException:
        pass
elb.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": arn}])"#;
    let snippet = format!("{PRELUDE}{snippet}");
    scene.emulator.boto3_with(&snippet, &given).await.unwrap();
    // A certificate that is new may be on its way to the listener, so that is a warning for a day.
    let run = desk.run(&["status", "--check", "--strict"]).await.expect(1);
    let run = run.shows("listener.443").shows("would be changed: certificate");
    run.shows("warning  served for www")
        .shows("another than the one that ACM holds: of C=US, O=Amazon");
}
