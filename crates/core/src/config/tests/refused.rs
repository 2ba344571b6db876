//! What is refused, at which key and place, and why.

use super::*;

/// Checks that a file is refused at each `(key, marked text, part of the message)` and nowhere else.
pub(super) fn refused(text: &str, expected: &[(&str, &str, &str)]) {
    let errors = errors(text);
    let shown = render(&errors);
    assert_eq!(errors.iter().count(), expected.len(), "{text}\n{shown}");
    for (error, (key, marked, message)) in errors.iter().zip(expected) {
        assert_eq!(error.key(), *key, "{shown}");
        assert_eq!(&text[error.span()], *marked, "{shown}");
        assert!(error.message().contains(message), "expected `{message}`\n{shown}");
        assert!(!error.hint().is_empty());
    }
}

/// Checks that `line` in the site of the smallest file is refused.
fn refused_in_site(line: &str, key: &str, marked: &str, message: &str) {
    refused(&with_site(line), &[(&format!("site.www.{key}"), marked, message)]);
}

/// Checks that the smallest file is refused with another domain.
fn refused_domain(domain: &str, message: &str) {
    let text = SMALLEST.replace("www.example.com", domain);
    refused(&text, &[("site.www.domain", &format!("\"{domain}\""), message)]);
}

#[test]
fn domains_that_no_certificate_can_have() {
    let long_label = format!("{}.example.com", "a".repeat(64));
    let long_name = format!("{}example.com", "abcdefghi.".repeat(25));
    let common_name = format!("{}.example.com", "a".repeat(53));
    assert_eq!(common_name.len(), 65);
    for (domain, message) in [
        (common_name.as_str(), "at most 64 octets, this one has 65"),
        (&long_name, "at most 253 octets"),
        (&long_label, "expected 1 to 63"),
        ("www..example.com", "0 octets"),
        ("-www.example.com", "no `-` at its ends"),
        ("w w.example.com", "letters, digits"),
        ("www.*.example.com", "whole first label"),
        ("my_host.example.com", "holds a `_`"),
        ("localhost", "has no dot"),
        ("nas.local", "not a public top-level domain"),
        ("co.jp", "is a public suffix"),
        ("*.co.jp", "is a public suffix"),
        ("203.0.113.10", "is an address"),
        ("2001:db8::1", "is an address"),
        ("https://www.example.com/", "is not a domain name"),
        ("", "found nothing"),
    ] {
        refused_domain(domain, message);
    }
    assert_eq!(
        site(&SMALLEST.replace("www.example.com", "example.github.io"))
            .domain
            .labels(),
        3
    );
    let longest = format!("{}.example.com", "a".repeat(52));
    assert_eq!(
        site(&SMALLEST.replace("www.example.com", &longest))
            .domain
            .as_str()
            .len(),
        64
    );
}

#[test]
fn aliases_that_are_too_many_or_stand_twice() {
    let many: Vec<String> = (0..10).map(|number| format!("\"a{number}.example.com\"")).collect();
    let list = format!("[{}]", many.join(", "));
    refused_in_site(
        &format!("aliases = {list}"),
        "aliases",
        &list,
        "at most 10 names, these are 11",
    );
    read(&with_site(&format!("aliases = [{}]", many[..9].join(", "))));
    refused_in_site(
        "aliases = [\"WWW.example.com.\"]",
        "aliases",
        "\"WWW.example.com.\"",
        "`www.example.com` stands twice in the site `www`",
    );
    // An alias may be longer than the first name.
    read(&with_site(&format!("aliases = [\"{}.example.com\"]", "a".repeat(60))));
}

#[test]
fn sites_that_share_a_name() {
    let text = with_site("[site.b]\ndomain = \"b.example.com\"\naliases = [\"www.EXAMPLE.com\"]\ninstance = \"i-1\"");
    refused(
        &text,
        &[(
            "site.b.aliases",
            "\"www.EXAMPLE.com\"",
            "`www.example.com` belongs to the site `www` already",
        )],
    );
}

#[test]
fn instances_that_are_missing_doubled_or_written_in_both_ways() {
    let without = SMALLEST.replace("instance = \"i-0123456789abcdef0\"", "");
    refused(&without, &[("site.www", "[site.www]", "`instance` is missing")]);
    let with = |line: &str| without.clone() + line;
    refused(
        &with("instances = []"),
        &[("site.www.instances", "[]", "the list is empty")],
    );
    refused(
        &with("instances = [\"i-1\", \"i-2\", \"i-1\"]"),
        &[("site.www.instances", "\"i-1\"", "`i-1` stands twice")],
    );
    refused_in_site(
        "instances = [\"i-1\"]",
        "instances",
        "[\"i-1\"]",
        "`instances` stands beside `instance`",
    );
    refused(
        &with("instance = \"i-xyz\""),
        &[("site.www.instance", "\"i-xyz\"", "`i-xyz` is not an instance id")],
    );
}

#[test]
fn health_checks_that_aws_would_refuse() {
    let check = |setting: &str, key: &str, marked: &str, message: &str| {
        let text = SMALLEST.replace("health   = { path = \"/\" }", &format!("health.{setting}"));
        refused(&text, &[(&format!("site.www.health.{key}"), marked, message)]);
    };
    let long = format!("\"/{}\"", "a".repeat(1024));
    for (path, message) in [
        ("\"health\"", "does not begin with `/`"),
        ("\"\"", "does not begin with `/`"),
        ("\"/a b\"", "cannot hold ` `"),
        ("\"/ü\"", "cannot hold `ü`"),
        ("\"/a#b\"", "fragment"),
        ("\"/a\\nb\"", "control character `\\n`"),
        (&long, "at most 1024 characters, this one has 1025"),
    ] {
        check(&format!("path = {path}"), "path", path, message);
    }
    for (codes, message) in [
        ("\"500\"", "the server failed"),
        ("\"200-503\"", "the server failed"),
        ("\"199\"", "outside 200 to 499"),
        ("\"299-200\"", "runs backwards"),
        ("\"200,\"", "`` is not a status code"),
        ("\"2xx\"", "`2xx` is not a status code"),
        ("\"200-201-202\"", "`201-202` is not a status code"),
        ("200", "has to be text, found the number `200`"),
    ] {
        check(&format!("codes = {codes}"), "codes", codes, message);
    }
    for (setting, key, marked, message) in [
        ("interval = \"4s\"", "interval", "\"4s\"", "from 5s to 300s"),
        ("interval = \"301s\"", "interval", "\"301s\"", "from 5s to 300s"),
        (
            "interval = \"5s\"",
            "interval",
            "\"5s\"",
            "longer than the timeout, which is 5s by default",
        ),
        ("timeout = \"1s\"", "timeout", "\"1s\"", "from 2s to 120s"),
        ("timeout = \"121s\"", "timeout", "\"121s\"", "from 2s to 120s"),
        (
            "timeout = \"30s\"",
            "timeout",
            "\"30s\"",
            "shorter than the interval, which is 30s by default",
        ),
        ("timeout = \"2.5s\"", "timeout", "\"2.5s\"", "whole seconds"),
        ("timeout = 5", "timeout", "5", "has to be a duration"),
        ("healthy = 1", "healthy", "1", "from 2 to 10"),
        ("unhealthy = 11", "unhealthy", "11", "from 2 to 10"),
        ("healthy = -3", "healthy", "-3", "from 2 to 10"),
        ("port = 0", "port", "0", "from 1 to 65535"),
        (
            "port = \"https\"",
            "port",
            "\"https\"",
            "a number or `\"traffic-port\"`",
        ),
        ("port = \"8080\"", "port", "\"8080\"", "has to be a whole number"),
        (
            "protocol = \"https\"",
            "protocol",
            "\"https\"",
            "has to be `\"HTTPS\"` or `\"HTTP\"`",
        ),
    ] {
        check(setting, key, marked, message);
    }
}

#[test]
fn other_settings_of_a_site() {
    for (line, key, marked, message) in [
        ("ports = { listen = 65536 }", "ports.listen", "65536", "from 1 to 65535"),
        ("ports.backend = 443.0", "ports.backend", "443.0", "a whole number"),
        (
            "ports.listen = 99999999999999999999",
            "ports.listen",
            "99999999999999999999",
            "a whole number",
        ),
        ("ports = 443", "ports", "443", "has to be a table"),
        ("backend = \"HTTP\"", "backend", "\"HTTP\"", "has to be a table"),
        (
            "backend = { protocol = \"TCP\" }",
            "backend.protocol",
            "\"TCP\"",
            "found `\"TCP\"`",
        ),
        (
            "zone = \"example.com\"",
            "zone",
            "\"example.com\"",
            "is not a hosted zone id",
        ),
        (
            "key_algorithm = \"RSA_4096\"",
            "key_algorithm",
            "\"RSA_4096\"",
            "has to be `\"RSA_2048\"`",
        ),
        (
            "certificate = \"arn:x\"",
            "certificate",
            "\"arn:x\"",
            "is not the ARN of an ACM certificate",
        ),
        ("aliases = [3]", "aliases", "3", "has to be text, found the number `3`"),
        ("aliases = [{}]", "aliases", "[{}]", "has to be a list, found a list"),
    ] {
        refused_in_site(line, key, marked, message);
    }
}

#[test]
fn certificates_of_another_region() {
    let line = "certificate = \"arn:aws:acm:us-east-1:123456789012:certificate/x\"";
    let text = with_site(line);
    let marked = "\"arn:aws:acm:us-east-1:123456789012:certificate/x\"";
    refused(
        &text,
        &[(
            "site.www.certificate",
            marked,
            "lies in `us-east-1`, the load balancer in `ap-northeast-1`",
        )],
    );
    // Without a region in the file nobody knows yet.
    read(&text.replace("region = \"ap-northeast-1\"", ""));
}

#[test]
fn settings_of_the_load_balancer() {
    for (line, key, marked, message) in [
        (
            "scheme = \"public\"",
            "scheme",
            "\"public\"",
            "`\"internet-facing\"` or `\"internal\"`",
        ),
        (
            "ip_address_type = \"ipv6\"",
            "ip_address_type",
            "\"ipv6\"",
            "`\"ipv4\"` or `\"dualstack\"`",
        ),
        ("subnets = []", "subnets", "[]", "the list is empty"),
        (
            "subnets = [\"subnet-1\"]",
            "subnets",
            "[\"subnet-1\"]",
            "two availability zones, this is one",
        ),
        (
            "subnets = [\"subnet-1\", \"subnet-1\"]",
            "subnets",
            "\"subnet-1\"",
            "stands twice",
        ),
        (
            "subnets = [\"subnet-1\", \"x\"]",
            "subnets",
            "\"x\"",
            "is not a subnet id",
        ),
        ("tls_policy = \"\"", "tls_policy", "\"\"", "is empty"),
        (
            "tls_policy = \"TLS 1.2\"",
            "tls_policy",
            "\"TLS 1.2\"",
            "is not the name of a security policy",
        ),
        ("http = true", "http", "true", "has to be text, found `true`"),
        ("allow_from = []", "allow_from", "[]", "the list is empty"),
        (
            "allow_from = [\"10.0.0.1\"]",
            "allow_from",
            "\"10.0.0.1\"",
            "is not an address range",
        ),
        (
            "allow_from = [\"10.0.0.0/33\"]",
            "allow_from",
            "\"10.0.0.0/33\"",
            "is not an address range",
        ),
        (
            "allow_from = [\"10.0.0.5/8\", \"10.0.0.0/8\"]",
            "allow_from",
            "\"10.0.0.0/8\"",
            "`10.0.0.0/8` stands twice",
        ),
        ("idle_timeout = \"0s\"", "idle_timeout", "\"0s\"", "from 1s to 4000s"),
        (
            "idle_timeout = \"4001s\"",
            "idle_timeout",
            "\"4001s\"",
            "from 1s to 4000s",
        ),
        (
            "deletion_protection = \"true\"",
            "deletion_protection",
            "\"true\"",
            "`true` or `false`",
        ),
        (
            "access_logs = { prefix = \"x\" }",
            "access_logs",
            "{ prefix = \"x\" }",
            "`bucket` is missing",
        ),
        (
            "access_logs = { bucket = \"s3://x\" }",
            "access_logs.bucket",
            "\"s3://x\"",
            "is not the name of a bucket",
        ),
    ] {
        let text = with_site(&format!("[load_balancer]\n{line}"));
        refused(&text, &[(&format!("load_balancer.{key}"), marked, message)]);
    }
}

#[test]
fn settings_of_the_run() {
    for (lines, key, marked, message) in [
        ("[prove]\nrequest = false", "prove.request", "false", "has to be text"),
        (
            "[prove]\ndeadlines = { dns = \"0s\" }",
            "prove.deadlines.dns",
            "\"0s\"",
            "from 1s to 72h",
        ),
        (
            "[prove]\ndeadlines.target = \"73h\"",
            "prove.deadlines.target",
            "\"73h\"",
            "from 1s to 72h",
        ),
        ("[lockdown]\nenabled = 1", "lockdown.enabled", "1", "`true` or `false`"),
        (
            "[lockdown]\ndrain_margin = 600",
            "lockdown.drain_margin",
            "600",
            "a duration from 0s to 168h",
        ),
        (
            "[lockdown]\nwait = \"soon\"",
            "lockdown.wait",
            "\"soon\"",
            "is not a duration",
        ),
    ] {
        refused(&with_site(lines), &[(key, marked, message)]);
    }
}

#[test]
fn where_the_state_is_kept() {
    for (lines, key, marked, message) in [
        ("backend = \"gcs\"", "state.backend", "\"gcs\"", "gcs"),
        (
            "bucket = \"my-states\"",
            "state.bucket",
            "\"my-states\"",
            "belongs to a state on S3",
        ),
        (
            "backend = \"s3\"\nbucket = \"s3://my-states/x\"",
            "state.bucket",
            "\"s3://my-states/x\"",
            "lower-case letters",
        ),
        (
            "backend = \"s3\"\nbucket = \"my-states\"\nkey = \"../x.json\"",
            "state.key",
            "\"../x.json\"",
            "without `.` and `..`",
        ),
        (
            "backend = \"s3\"\nbucket = \"my-states\"\nkey = \"x.json.lock\"",
            "state.key",
            "\"x.json.lock\"",
            "path of an object",
        ),
        (
            "backend = \"s3\"\nbucket = \"my-states\"\nregion = \"ireland\"",
            "state.region",
            "\"ireland\"",
            "region",
        ),
        (
            "backend = \"s3\"\nbucket = \"my-states\"\nbucket_owner = \"me\"",
            "state.bucket_owner",
            "\"me\"",
            "account",
        ),
    ] {
        refused(&with_site(&format!("[state]\n{lines}")), &[(key, marked, message)]);
    }
}

#[test]
fn unknown_keys_in_every_table() {
    for table in [
        "",
        "site.www.",
        "site.www.ports.",
        "site.www.backend.",
        "site.www.health.",
        "load_balancer.",
        "load_balancer.access_logs.",
        "prove.",
        "prove.deadlines.",
        "lockdown.",
        "state.",
    ] {
        let site = "site.www = { domain = 'www.example.com', instance = 'i-1' }".replace("site.www = ", "");
        let text = match table.strip_prefix("site.www.") {
            Some(table) => {
                format!("[site]\nwww.domain = 'www.example.com'\nwww.instance = 'i-1'\nwww.{table}colour = 1\n")
            }
            None => format!("{table}colour = 1\nload_balancer.access_logs.bucket = 'logs'\n[site]\nwww = {site}\n"),
        };
        refused(&text, &[(&format!("{table}colour"), "colour", "unknown key `colour`")]);
    }
}

#[test]
fn one_mistake_does_not_hide_another() {
    let long = format!("{}.example.com", "a".repeat(53));
    let aliases: Vec<String> = (0..9).map(|number| format!("\"a{number}.example.com\"")).collect();
    let aliases = format!("[{}, \"x\"]", aliases.join(", "));
    let text = with_site(&format!("aliases = {aliases}\nkey_algorithm = \"RSA\"")).replace("www.example.com", &long);
    refused(
        &text,
        &[
            ("site.www.domain", &format!("\"{long}\""), "at most 64 octets"),
            ("site.www.aliases", &aliases, "at most 10 names, these are 11"),
            ("site.www.aliases", "\"x\"", "has no dot"),
            ("site.www.key_algorithm", "\"RSA\"", "has to be"),
        ],
    );
}

#[test]
fn errors_tell_their_place_in_numbers() {
    let text =
        "[site.www]\ndomain = \"www.example.com\"\naliases = [\"bücher.example.com\", \"x\"]\ninstance = \"i-1\"\n";
    let errors = errors(text);
    let error = errors.iter().next().unwrap();
    assert_eq!(
        (error.source_name(), error.line(), error.column()),
        ("reconcile.toml", 3, 34)
    );
    assert_eq!(error.kind(), ConfigErrorKind::Invalid);
    assert_eq!(errors.to_string(), "`reconcile.toml` has an error");
}
