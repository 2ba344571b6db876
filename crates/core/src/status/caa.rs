//! Whether CAA records let Amazon issue a certificate (`aws-facts.md` 1.4).

use super::{Answer, Stack, World};
use crate::{
    check::{Check, Verdict},
    planner::allows_amazon,
    value::DomainName,
};

/// What was looked at.
const NAME: &str = "CAA";

/// The names at which CAA records for `name` may stand, from itself up to the top-level domain.
fn levels(name: &DomainName) -> Vec<String> {
    let base = name.without_wildcard();
    let mut levels = Vec::new();
    let mut next = Some(base.as_str());
    while let Some(level) = next {
        levels.push(level.to_owned());
        next = level.split_once('.').map(|(_, parent)| parent);
    }
    levels
}

/// Whether the observed zones tell what stands at a level: a CNAME leads the lookup out of them.
fn is_listed(stack: &Stack<'_>, level: &str) -> bool {
    stack.public_zone(level).is_some() && stack.record_set(level, "CNAME").is_none()
}

/// The levels that only public DNS tells.
pub(super) fn unknown_levels(stack: &Stack<'_>, name: &DomainName) -> Vec<String> {
    let mut levels = levels(name);
    levels.retain(|level| !is_listed(stack, level));
    levels
}

/// Whether Amazon may issue a certificate for `name`. The lookup climbs and stops at the first set of CAA records.
pub(super) fn check(world: &World<'_>, subject: &str, name: &DomainName) -> Check {
    let stack = world.stack();
    let title = format!("{NAME} {name}");
    for level in levels(name) {
        let set: Answer<Vec<String>> = if is_listed(&stack, &level) {
            Ok(stack
                .record_set(&level, NAME)
                .map(|set| set.values.clone())
                .unwrap_or_default())
        } else {
            let unasked = || Err("it was not asked".to_owned());
            world.outside.authorities.get(&level).cloned().unwrap_or_else(unasked)
        };
        match set {
            Ok(values) if values.is_empty() => {}
            Ok(values) if allows_amazon(&values, name.is_wildcard()) => {
                return Check::ok(subject, title, format!("the records at `{level}` allow Amazon"));
            }
            Ok(values) => {
                return Check::ok(
                    subject,
                    title,
                    format!("the records at `{level}` forbid Amazon to issue: {}", values.join(", ")),
                )
                .but(
                    Verdict::Failure,
                    format!(
                        "add `0 {} \"amazon.com\"` to them, or the certificate is not renewed",
                        if name.is_wildcard() { "issuewild" } else { "issue" }
                    ),
                );
            }
            Err(reason) => {
                return Check::ok(
                    subject,
                    title,
                    format!("public DNS does not tell the records at `{level}`: {reason}"),
                )
                .but(
                    Verdict::Unknown,
                    "look from a machine that can ask public DNS; `--dns-server` names a server",
                );
            }
        }
    }
    Check::ok(subject, title, "no records, so that Amazon may issue")
}
