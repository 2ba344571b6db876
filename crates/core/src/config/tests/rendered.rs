//! Errors as people see them.

use super::*;

#[test]
fn several_mistakes_are_shown_at_once_each_with_its_place() {
    let text = r#"region = "tokyo"

[site.www]
domian   = "www.example.com"
instance = "0123456789abcdef0"
health   = { path = "/health", interval = "10s", timeout = "10s", codes = "200,503" }

[load_balancer]
http = "redirected"
"#;
    insta::assert_snapshot!(render(&errors(text)), @r#"
     × `tokyo` is not a region, expected something like `ap-northeast-1`
      ╭─[reconcile.toml:1:10]
    1 │ region = "tokyo"
      ·          ───────
    2 │
      ╰────
     help: write the code of the region, such as `ap-northeast-1`, or leave it out
     × `domain` is missing in `site.www`
      ╭─[reconcile.toml:3:1]
    2 │
    3 │ [site.www]
      · ─────┬────
      ·      ╰── needed here
    4 │ domian   = "www.example.com"
      ╰────
     help: add `domain = "www.example.com"`
     × unknown key `domian`
      ╭─[reconcile.toml:4:1]
    3 │ [site.www]
    4 │ domian   = "www.example.com"
      · ──────
    5 │ instance = "0123456789abcdef0"
      ╰────
     help: did you mean `domain`?
           keys in `site.NAME`: `aliases`, `backend`, `certificate`, `deregistration_delay`, `domain`,
           `health`, `instance`, `instances`, `key_algorithm`, `ports`, `slow_start`, `stickiness`, `zone`
     × `0123456789abcdef0` is not an instance id, expected something like `i-0123456789abcdef0`
      ╭─[reconcile.toml:5:12]
    4 │ domian   = "www.example.com"
    5 │ instance = "0123456789abcdef0"
      ·            ───────────────────
    6 │ health   = { path = "/health", interval = "10s", timeout = "10s", codes = "200,503" }
      ╰────
     help: the id stands in EC2's list of instances
     × the timeout of 10s has to be shorter than the interval of 10s
      ╭─[reconcile.toml:6:60]
    5 │ instance = "0123456789abcdef0"
    6 │ health   = { path = "/health", interval = "10s", timeout = "10s", codes = "200,503" }
      ·                                           ──┬──            ──┬──
      ·                                             │                ╰── here
      ·                                             ╰── the interval
    7 │
      ╰────
     help: shorten `timeout` or lengthen `interval`
     × 503 means that the server failed: an ALB takes 200 to 499 for healthy
      ╭─[reconcile.toml:6:75]
    5 │ instance = "0123456789abcdef0"
    6 │ health   = { path = "/health", interval = "10s", timeout = "10s", codes = "200,503" }
      ·                                                                           ─────────
    7 │
      ╰────
     help: write codes and ranges from 200 to 499, such as `"200"`, `"200,204"` or `"200-299"`
     × `http` has to be `"closed"` or `"redirect"`, found `"redirected"`
      ╭─[reconcile.toml:9:8]
    8 │ [load_balancer]
    9 │ http = "redirected"
      ·        ────────────
      ╰────
     help: did you mean `"redirect"`?
    "#);
}

#[test]
fn a_file_without_a_site() {
    insta::assert_snapshot!(render(&errors("")), @r#"
    × there is no site in the configuration
     ╭─[reconcile.toml:1:1]
     ╰────
    help: add one, for example

          [site.www]
          domain   = "www.example.com"
          instance = "i-0123456789abcdef0"
          health   = { path = "/" }
    "#);
    insta::assert_snapshot!(render(&errors("region = \"ap-northeast-1\"\n[site]\n")), @r#"
     × there is no site in the configuration
      ╭─[reconcile.toml:2:1]
    1 │ region = "ap-northeast-1"
    2 │ [site]
      · ──────
      ╰────
     help: add one, for example

           [site.www]
           domain   = "www.example.com"
           instance = "i-0123456789abcdef0"
           health   = { path = "/" }
    "#);
}

#[test]
fn a_setting_in_the_wrong_table() {
    let text = with_site("region = \"eu-west-1\"\n[load_balancer]\naliases = []\nidle-timeout = \"60s\"\n[lockdon]\n");
    insta::assert_snapshot!(render(&errors(&text)), @r#"
     × unknown key `region`
      ╭─[reconcile.toml:8:1]
    7 │ health   = { path = "/" }
    8 │ region = "eu-west-1"
      · ──────
    9 │ [load_balancer]
      ╰────
     help: `region` belongs at the top of the file, above the first `[table]`
           keys in `site.NAME`: `aliases`, `backend`, `certificate`, `deregistration_delay`, `domain`,
           `health`, `instance`, `instances`, `key_algorithm`, `ports`, `slow_start`, `stickiness`, `zone`
     × unknown key `aliases`
       ╭─[reconcile.toml:10:1]
     9 │ [load_balancer]
    10 │ aliases = []
       · ───────
    11 │ idle-timeout = "60s"
       ╰────
     help: `aliases` belongs in `site.NAME`
           keys in `load_balancer`: `access_logs`, `allow_from`, `attributes`, `deletion_protection`,
           `drop_invalid_headers`, `hsts`, `http`, `idle_timeout`, `ip_address_type`, `listener_attributes`,
           `scheme`, `subnets`, `tls_policy`, `web_acl`
     × unknown key `idle-timeout`
       ╭─[reconcile.toml:11:1]
    10 │ aliases = []
    11 │ idle-timeout = "60s"
       · ────────────
    12 │ [lockdon]
       ╰────
     help: did you mean `idle_timeout`?
           keys in `load_balancer`: `access_logs`, `allow_from`, `attributes`, `deletion_protection`,
           `drop_invalid_headers`, `hsts`, `http`, `idle_timeout`, `ip_address_type`, `listener_attributes`,
           `scheme`, `subnets`, `tls_policy`, `web_acl`
     × unknown key `lockdon`
       ╭─[reconcile.toml:12:2]
    11 │ idle-timeout = "60s"
    12 │ [lockdon]
       ·  ───────
    13 │
       ╰────
     help: did you mean `lockdown`?
           keys at the top of the file: `account`, `adopt`, `dns`, `load_balancer`, `lockdown`, `name`,
           `profile`, `prove`, `region`, `site`, `state`, `tags`
    "#);
}

#[test]
fn a_domain_that_is_too_long_to_be_first() {
    let text = SMALLEST.replace("www.example.com", &format!("{}.example.com", "a".repeat(53)));
    insta::assert_snapshot!(render(&errors(&text)), @r#"
     × the first name of a certificate has at most 64 octets, this one has 65
      ╭─[reconcile.toml:5:12]
    4 │ [site.www]
    5 │ domain   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com"
      ·            ───────────────────────────────────────────────────────────────────
    6 │ instance = "i-0123456789abcdef0"
      ╰────
     help: put a shorter name first, as `domain`, and this one into `aliases`
    "#);
}

#[test]
fn two_sites_with_one_domain() {
    let text = with_site(
        "aliases = [\"example.com\", \"Example.com.\"]\n\n[site.shop]\ndomain = \"WWW.example.com\"\ninstance = \"i-1\"\n",
    );
    insta::assert_snapshot!(render(&errors(&text)), @r#"
     × `example.com` stands twice in the site `www`
      ╭─[reconcile.toml:8:27]
    7 │ health   = { path = "/" }
    8 │ aliases = ["example.com", "Example.com."]
      ·            ──────┬──────  ───────┬──────
      ·                  │               ╰── here
      ·                  ╰── first here
    9 │
      ╰────
     help: remove one of the two
     × `www.example.com` belongs to the site `www` already
      ╭─[reconcile.toml:5:12]
    4 │ [site.www]
    5 │ domain   = "www.example.com"
      ·            ────────┬────────
      ·                    ╰── first here
    6 │ instance = "i-0123456789abcdef0"
      ╰────
       ╭─[reconcile.toml:11:10]
    10 │ [site.shop]
    11 │ domain = "WWW.example.com"
       ·          ────────┬────────
       ·                  ╰── here
    12 │ instance = "i-1"
       ╰────
     help: a name leads to one site: remove it from the other
    "#);
}

#[test]
fn a_certificate_of_another_region_beside_a_key_algorithm() {
    let text = with_site(
        "key_algorithm = \"EC_prime256v1\"\ncertificate = \"arn:aws:acm:us-east-1:123456789012:certificate/x\"",
    );
    insta::assert_snapshot!(render(&errors(&text)), @r#"
     × `key_algorithm` is for a certificate that is requested, but `certificate` names one that exists
      ╭─[reconcile.toml:8:17]
    7 │ health   = { path = "/" }
    8 │ key_algorithm = "EC_prime256v1"
      ·                 ───────┬───────
      ·                        ╰── here
    9 │ certificate = "arn:aws:acm:us-east-1:123456789012:certificate/x"
      ·               ─────────────────────────┬────────────────────────
      ·                                        ╰── the existing certificate
      ╰────
     help: remove `key_algorithm` to use that certificate, or `certificate` to have one requested
     × the certificate lies in `us-east-1`, the load balancer in `ap-northeast-1`
      ╭─[reconcile.toml:2:10]
    1 │
    2 │ region = "ap-northeast-1"
      ·          ────────┬───────
      ·                  ╰── the region
    3 │
      ╰────
      ╭─[reconcile.toml:9:15]
    8 │ key_algorithm = "EC_prime256v1"
    9 │ certificate = "arn:aws:acm:us-east-1:123456789012:certificate/x"
      ·               ─────────────────────────┬────────────────────────
      ·                                        ╰── here
      ╰────
     help: a load balancer uses certificates of its own region only: name one from there, or leave
           `certificate` out to have one requested
    "#);
}

#[test]
fn wrong_types_and_durations_without_a_unit() {
    let text = r#"name = 5
[site.www]
domain = ["www.example.com"]
instances = "i-0123456789abcdef0"
ports = { listen = "443", backend = 70000 }
health.interval = 30
health.timeout = "5"
[lockdown]
enabled = "yes"
"#;
    insta::assert_snapshot!(render(&errors(text)), @r#"
     × `name` has to be text, found the number `5`
      ╭─[reconcile.toml:1:8]
    1 │ name = 5
      ·        ─
    2 │ [site.www]
      ╰────
     help: write it in quotes: `"5"`
     × `domain` has to be text, found a list
      ╭─[reconcile.toml:3:10]
    2 │ [site.www]
    3 │ domain = ["www.example.com"]
      ·          ───────────────────
    4 │ instances = "i-0123456789abcdef0"
      ╰────
     help: write for example `domain = "www.example.com"`
     × `instances` has to be a list, found the text `"i-0123456789abcdef0"`
      ╭─[reconcile.toml:4:13]
    3 │ domain = ["www.example.com"]
    4 │ instances = "i-0123456789abcdef0"
      ·             ─────────────────────
    5 │ ports = { listen = "443", backend = 70000 }
      ╰────
     help: put it in brackets: `instances = ["i-0123456789abcdef0"]`
     × `listen` has to be a whole number from 1 to 65535, found the text `"443"`
      ╭─[reconcile.toml:5:20]
    4 │ instances = "i-0123456789abcdef0"
    5 │ ports = { listen = "443", backend = 70000 }
      ·                    ─────
    6 │ health.interval = 30
      ╰────
     help: write it without quotes: `443`
     × `backend` has to be a whole number from 1 to 65535, found the number `70000`
      ╭─[reconcile.toml:5:37]
    4 │ instances = "i-0123456789abcdef0"
    5 │ ports = { listen = "443", backend = 70000 }
      ·                                     ─────
    6 │ health.interval = 30
      ╰────
     help: choose a number from 1 to 65535
     × `interval` has to be a duration from 5s to 300s, found the number `30`
      ╭─[reconcile.toml:6:19]
    5 │ ports = { listen = "443", backend = 70000 }
    6 │ health.interval = 30
      ·                   ──
    7 │ health.timeout = "5"
      ╰────
     help: durations are written with their unit: `interval = "30s"`
     × `5` has no unit: write for example `5s`
      ╭─[reconcile.toml:7:18]
    6 │ health.interval = 30
    7 │ health.timeout = "5"
      ·                  ───
    8 │ [lockdown]
      ╰────
     help: write `timeout = "5s"`
     × `enabled` has to be `true` or `false`, found the text `"yes"`
      ╭─[reconcile.toml:9:11]
    8 │ [lockdown]
    9 │ enabled = "yes"
      ·           ─────
      ╰────
     help: write `enabled = true` or `enabled = false`
    "#);
}

#[test]
fn a_redirect_on_a_port_that_a_site_has() {
    let text = with_site("ports.listen = 80\n[load_balancer]\nhttp = \"redirect\"\nsubnets = [\"subnet-1\"]\n");
    insta::assert_snapshot!(render(&errors(&text)), @r#"
     × port 80 of the load balancer is taken by the redirect to HTTPS
       ╭─[reconcile.toml:8:16]
     7 │ health   = { path = "/" }
     8 │ ports.listen = 80
       ·                ─┬
       ·                 ╰── here
     9 │ [load_balancer]
    10 │ http = "redirect"
       ·        ─────┬────
       ·             ╰── the redirect
    11 │ subnets = ["subnet-1"]
       ╰────
     help: choose another port, or set `http = "closed"` in `[load_balancer]`
     × a load balancer needs subnets of two availability zones, this is one
       ╭─[reconcile.toml:11:11]
    10 │ http = "redirect"
    11 │ subnets = ["subnet-1"]
       ·           ────────────
    12 │
       ╰────
     help: name subnets of two availability zones or more, or leave `subnets` out to have public ones chosen
    "#);
}

#[test]
fn text_without_quotes_does_not_hide_the_other_mistakes() {
    let text = "region = ap-northeast-1\n\n[site.www]\ndomain = \"www.example\"\ndomain = \"x\"\ninstance = 'i-1\nports.listen = 0\n";
    insta::assert_snapshot!(render(&errors(text)), @r#"
     × `ap-northeast-1` is not a value
      ╭─[reconcile.toml:1:10]
    1 │ region = ap-northeast-1
      ·          ──────────────
    2 │
      ╰────
     help: text stands in straight quotes: `"ap-northeast-1"`
     × `.example` is not a public top-level domain, so no public certificate can be issued for `www.example`
      ╭─[reconcile.toml:4:10]
    3 │ [site.www]
    4 │ domain = "www.example"
      ·          ─────────────
    5 │ domain = "x"
      ╰────
     help: use a name below a public domain that you own, such as `www.example.com`
     × `domain` stands twice in its table
      ╭─[reconcile.toml:5:1]
    4 │ domain = "www.example"
    5 │ domain = "x"
      · ──────
    6 │ instance = 'i-1
      ╰────
     help: a key or a table can stand only once: remove or join them
     × the text is not closed
      ╭─[reconcile.toml:6:16]
    5 │ domain = "x"
    6 │ instance = 'i-1
      ·                ▲
    7 │ ports.listen = 0
      ╰────
     help: end it with the same quotes that it begins with
     × `listen` has to be a whole number from 1 to 65535, found the number `0`
      ╭─[reconcile.toml:7:16]
    6 │ instance = 'i-1
    7 │ ports.listen = 0
      ·                ─
      ╰────
     help: choose a number from 1 to 65535
    "#);
}

#[test]
fn a_missing_bracket_is_one_mistake() {
    let text = "[site.www]\ndomain = \"www.local\"\nhealth = { path = \"/\"\ninstance = \"i-1\"\n\n[lockdown]\nenabled = yes\n";
    insta::assert_snapshot!(render(&errors(text)), @r#"
     × `.local` is not a public top-level domain, so no public certificate can be issued for `www.local`
      ╭─[reconcile.toml:2:10]
    1 │ [site.www]
    2 │ domain = "www.local"
      ·          ───────────
    3 │ health = { path = "/"
      ╰────
     help: use a name below a public domain that you own, such as `www.example.com`
     × a `,` or the `}` of the table is missing
      ╭─[reconcile.toml:3:22]
    2 │ domain = "www.local"
    3 │ health = { path = "/"
      ·                      ▲
    4 │ instance = "i-1"
      ╰────
     help: settings between `{` and `}` stand apart by `,`
    "#);
}

#[test]
fn places_are_counted_in_characters() {
    let text = "[site.www]\r\ndomain = \"www.example.com\"\r\naliases = [\"bücher.example.com\", \"bücher.local\"]\r\ninstance = \"i-1\"\r\n";
    insta::assert_snapshot!(render(&errors(text)), @r#"
     × `.local` is not a public top-level domain, so no public certificate can be issued for `bücher.local`
      ╭─[reconcile.toml:3:34]
    2 │ domain = "www.example.com"
    3 │ aliases = ["bücher.example.com", "bücher.local"]
      ·                                  ──────────────
    4 │ instance = "i-1"
      ╰────
     help: use a name below a public domain that you own, such as `www.example.com`
    "#);
}
