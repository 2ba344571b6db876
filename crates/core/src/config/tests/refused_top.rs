//! What is refused at the top of the file.

use super::{refused::refused, *};

#[test]
fn the_way_to_route_53() {
    let role = "role = \"arn:aws:iam::123456789012:role/dns\"\n";
    for (lines, key, marked, message) in [
        ("role = \"dns\"", "dns.role", "\"dns\"", "is not the ARN of an IAM role"),
        ("profile = \"\"", "dns.profile", "\"\"", "is empty"),
        (
            "external_id = \"x1\"",
            "dns.external_id",
            "\"x1\"",
            "there is no `role`",
        ),
        (
            &format!("{role}external_id = \"x\""),
            "dns.external_id",
            "\"x\"",
            "2 to 1224 letters",
        ),
        (
            &format!("{role}external_id = \"a b\""),
            "dns.external_id",
            "\"a b\"",
            "2 to 1224 letters",
        ),
        ("zone = \"Z1\"", "dns.zone", "zone", "unknown key"),
    ] {
        refused(&format!("{SMALLEST}\n[dns]\n{lines}\n"), &[(key, marked, message)]);
    }
    // A role that is wrong itself is there all the same.
    refused(
        &format!("{SMALLEST}\n[dns]\nrole = \"dns\"\nexternal_id = \"x1\"\n"),
        &[("dns.role", "\"dns\"", "is not the ARN of an IAM role")],
    );
}

#[test]
fn settings_at_the_top() {
    let long = format!("\"{}\"", "a".repeat(33));
    for (line, key, marked, message) in [
        ("name = \"My Site\"", "name", "\"My Site\"", "lower-case letters"),
        ("name = \"-a\"", "name", "\"-a\"", "inner hyphens"),
        ("name = \"../x\"", "name", "\"../x\"", "lower-case letters"),
        ("name = \"\"", "name", "\"\"", "1 to 32 characters"),
        (
            &format!("name = {long}"),
            "name",
            &long,
            "1 to 32 characters, `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has 33",
        ),
        (
            "name = \"internal-web\"",
            "name",
            "\"internal-web\"",
            "AWS keeps such load balancer names",
        ),
        ("profile = \"\"", "profile", "\"\"", "is empty"),
        (
            "profile = \"a\\u001bb\"",
            "profile",
            "\"a\\u001bb\"",
            "control character `\\u{1b}`",
        ),
        ("load_balancer = 5", "load_balancer", "5", "has to be a table"),
    ] {
        refused(&format!("{line}\n{SMALLEST}"), &[(key, marked, message)]);
    }
    refused(
        "region = \"Tokyo\"\nsite = 1",
        &[
            ("region", "\"Tokyo\"", "is not a region"),
            ("site", "1", "has to be a table"),
        ],
    );
    refused(
        "[[site]]\ndomain = \"www.example.com\"",
        &[("site", "[[site]]", "has to be a table, found a list")],
    );
    let site = SMALLEST.replace("site.www", "site.Web_1");
    refused(&site, &[("site.Web_1", "Web_1", "lower-case letters")]);
}

#[test]
fn tags_that_aws_would_refuse() {
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for (tag, key, marked, message) in [
        ("\"aws:x\" = \"y\"", "aws:x", "\"aws:x\"", "`aws:` are kept by AWS"),
        ("\"AWS:x\" = \"y\"", "AWS:x", "\"AWS:x\"", "`aws:` are kept by AWS"),
        (
            "\"reconcile:stack\" = \"y\"",
            "reconcile:stack",
            "\"reconcile:stack\"",
            "kept by this tool",
        ),
        (
            &format!("{long_key} = \"y\""),
            &long_key,
            &long_key,
            "1 to 128 characters, this one has 129",
        ),
        (
            &format!("k = \"{long_value}\""),
            "k",
            &format!("\"{long_value}\""),
            "at most 256 characters",
        ),
        ("\"\" = \"y\"", "", "\"\"", "1 to 128 characters"),
        ("\"a*b\" = \"y\"", "a*b", "\"a*b\"", "cannot hold `*`"),
        ("k = \"<b>\"", "k", "\"<b>\"", "cannot hold `<`"),
        ("cost-center = 1234", "cost-center", "1234", "has to be text"),
    ] {
        let text = format!("tags = {{ {tag} }}\n{SMALLEST}");
        refused(&text, &[(&format!("tags.{key}"), marked, message)]);
    }
    let tags = |count: usize| -> String {
        let tags: Vec<String> = (0..count).map(|number| format!("t{number} = \"\"")).collect();
        format!("{{ {} }}", tags.join(", "))
    };
    read(&format!("tags = {}\n{SMALLEST}", tags(40)));
    refused(
        &format!("tags = {}\n{SMALLEST}", tags(41)),
        &[("tags", &tags(41), "at most 40 tags")],
    );
}
