//! What others hung on the stack's objects: left alone, and told where it goes away.

use super::{
    lines, planned, settled,
    world::{self, CONFIG, now},
};
use crate::{
    observed::{Actual, Observed, Status},
    plan::{Plan, Severity},
    planner::{DestroyOptions, destroy},
    resource::{Kind, ListenerCertificate, Outputs, Ref, Spec, Tags},
};

/// A listener on the load balancer and a certificate on the stack's listener.
fn hang(observed: &mut Observed) {
    let listener = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::Listener)
        .cloned()
        .unwrap();
    let mut other = listener.clone();
    "arn:other-listener".clone_into(&mut other.id);
    other.tags.clear();
    if let Spec::Listener(listener) = &mut other.spec {
        listener.port = 8443;
        listener.tags.clear();
    }
    let certificate = Actual {
        id: "their-certificate".to_owned(),
        spec: Spec::ListenerCertificate(ListenerCertificate {
            listener: Ref::Known(listener.id),
            certificate: Ref::Known("arn:theirs".to_owned()),
        }),
        outputs: Outputs::new(),
        status: Status::Exists,
        tags: Tags::new(),
    };
    observed.found.extend([other, certificate]);
}

fn told(plan: &Plan, severity: Severity) -> Vec<(&str, &str)> {
    let of_theirs = ["arn:other-listener", "their-certificate"];
    plan.findings
        .iter()
        .filter(|finding| finding.severity == severity && of_theirs.contains(&finding.subject.as_str()))
        .map(|finding| (finding.subject.as_str(), finding.message.as_str()))
        .collect()
}

#[test]
fn what_others_hung_on_the_stack_is_noted_and_left_alone() {
    let (config, mut observed, state) = settled(CONFIG);
    hang(&mut observed);
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert_eq!(
        told(&plan, Severity::Note),
        [
            (
                "arn:other-listener",
                "a listener of somebody else on port 8443 is left alone"
            ),
            (
                "their-certificate",
                "the certificate `arn:theirs`, which somebody else added to the listener, is left alone"
            ),
        ]
    );
}

#[test]
fn what_goes_away_with_an_object_of_the_stack_is_a_warning() {
    let (config, mut observed, state) = settled(CONFIG);
    hang(&mut observed);
    let destroyed = destroy(&config, &observed, &state, DestroyOptions::default(), now()).unwrap();
    let internal = world::config(&format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n"));
    let replaced = planned(&internal, &observed, &state);
    for plan in [destroyed, replaced] {
        assert_eq!(told(&plan, Severity::Note), []);
        let warnings = told(&plan, Severity::Warning);
        assert!(
            warnings.len() == 2 && warnings.iter().all(|(_, message)| message.contains("goes away with `")),
            "{warnings:?}"
        );
    }
}
