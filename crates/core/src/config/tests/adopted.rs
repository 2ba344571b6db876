//! What can be taken over, how it is written, and what is said where it cannot.

use super::{refused::refused, *};
use crate::resource::{Address, Kind};

const ELB: &str = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012";

/// The smallest file that takes over what `list` says.
fn adopting(list: &str) -> String {
    format!("adopt = [{list}]{SMALLEST}")
}

/// Checks that one entry is refused.
fn refused_entry(entry: &str, message: &str) {
    let entry = format!("\"{entry}\"");
    refused(&adopting(&entry), &[("adopt", &entry, message)]);
}

#[test]
fn every_kind_that_tells_itself_needs_no_address() {
    let listener = format!("{ELB}:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2");
    let rule = format!("{ELB}:listener-rule/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee");
    for (id, kind) in [
        (format!("{ELB}:targetgroup/web/73e2d6bc24d8a067"), Kind::TargetGroup),
        (
            format!("{ELB}:loadbalancer/app/web/50dc6c495c0c9188"),
            Kind::LoadBalancer,
        ),
        (listener, Kind::Listener),
        (rule, Kind::ListenerRule),
        (
            "arn:aws:acm:ap-northeast-1:123456789012:certificate/01234567".to_owned(),
            Kind::Certificate,
        ),
        ("sg-0123456789abcdef0".to_owned(), Kind::SecurityGroup),
    ] {
        let config = read(&adopting(&format!("\"{id}\"")));
        let adoption = config.adopt.first().unwrap();
        assert_eq!((adoption.address.as_ref(), adoption.kind()), (None, Some(kind)));
        assert_eq!(adoption.id, id);
    }
}

#[test]
fn records_are_known_by_their_name() {
    let address = Address::new(Kind::AliasRecord, "www.example.com");
    for entry in [
        "WWW.example.com.",
        "alias_record.www.example.com",
        "alias_record.www.example.com = www.example.com",
    ] {
        let config = read(&adopting(&format!("\"{entry}\"")));
        let adoption = config.adopt.first().unwrap();
        assert_eq!(adoption.address.as_ref(), Some(&address), "{entry}");
        assert_eq!(adoption.id, "www.example.com");
    }
    // The name of a kind can be the first label of a site.
    let site = SMALLEST.replace("www.example.com", "listener.example.com");
    let config = read(&format!("adopt = [\"listener.example.com\"]{site}"));
    assert_eq!(config.adopt.first().unwrap().id, "listener.example.com");
}

#[test]
fn an_address_says_which_resource_the_object_becomes() {
    let entry = format!("target_group.www = {ELB}:targetgroup/web/73e2d6bc24d8a067");
    let config = read(&adopting(&format!("\"{entry}\"")));
    let adoption = config.adopt.first().unwrap();
    assert_eq!(adoption.address, Some(Address::new(Kind::TargetGroup, "www")));
    assert_eq!(adoption.to_string(), entry);
}

#[test]
fn ids_that_are_of_nothing_that_can_be_taken_over() {
    for (entry, message) in [
        ("", "is empty"),
        ("web", "does not tell what it is"),
        ("i-0123456789abcdef0", "does not tell what it is"),
        ("arn:aws:s3:::bucket", "does not tell what it is"),
        ("target_group.www", "says where to, but not what"),
        ("target.www = i-0123456789abcdef0", "a target cannot be adopted"),
        ("port_closure.sg-1", "a port closure cannot be adopted"),
        (
            "instance_ingress.sg-1.443 = sgr-1",
            "an instance ingress cannot be adopted",
        ),
        ("tg.www = sg-1", "`tg.www` is not the address of a resource"),
        (
            "target_group.www = sg-1",
            "`sg-1` is a security group, not a target group",
        ),
        ("target_group.www = web", "`web` is not the id of a target group"),
        (
            "alias_record.www.example.com = example.com",
            "`example.com` is not the record at `www.example.com`",
        ),
    ] {
        refused_entry(entry, message);
    }
    let other = format!("{ELB}:loadbalancer/net/web/50dc6c495c0c9188");
    refused_entry(&other, "no Application Load Balancer");
}

#[test]
fn addresses_that_the_configuration_does_not_have() {
    let group = format!("{ELB}:targetgroup/web/73e2d6bc24d8a067");
    refused_entry(&format!("target_group.ww = {group}"), "has no `target_group.ww`");
    refused_entry("mail.example.com", "has no `alias_record.mail.example.com`");
    refused_entry("security_group.www = sg-1", "has no `security_group.www`");
    let listener = format!("{ELB}:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2");
    refused_entry(&format!("listener.80 = {listener}"), "has no `listener.80`");
    read(&format!(
        "{}[load_balancer]\nhttp = \"redirect\"",
        adopting(&format!("\"listener.80 = {listener}\""))
    ));
    let errors = errors(&adopting(&format!("\"target_group.ww = {group}\"")));
    assert_eq!(errors.iter().next().unwrap().hint(), "did you mean `target_group.www`?");
}

#[test]
fn entries_that_contradict_each_other_or_the_region() {
    refused(
        &adopting("\"sg-1\", \"security_group.load_balancer = sg-1\""),
        &[(
            "adopt",
            "\"security_group.load_balancer = sg-1\"",
            "`sg-1` stands twice in the list",
        )],
    );
    let group = |id: &str| format!("\"target_group.www = {ELB}:targetgroup/web/{id}\"");
    refused(
        &adopting(&format!("{}, {}", group("1"), group("2"))),
        &[(
            "adopt",
            &group("2"),
            "`target_group.www` has another object in the list",
        )],
    );
    let elsewhere = "\"arn:aws:acm:us-east-1:123456789012:certificate/1\"";
    let text = SMALLEST.replacen("region", &format!("adopt = [{elsewhere}]\nregion"), 1);
    refused(
        &text,
        &[("adopt", elsewhere, "lies in `us-east-1`, the stack in `ap-northeast-1`")],
    );
}
