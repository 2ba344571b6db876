//! Names and tags of what is created, all in one place.

use sha2::{Digest, Sha256};

use crate::{
    config::StackName,
    resource::{Address, Spec, Tags},
};

/// Tag that names the stack.
pub const STACK_TAG: &str = "reconcile:stack";
/// Tag that names the resource's address in the stack.
pub const RESOURCE_TAG: &str = "reconcile:resource";
/// The longest name of a load balancer or target group (`aws-facts.md` 2.2, 3).
pub const MAX_NAME: usize = 32;
/// Digits of the hash at the end of a name.
const HASH_DIGITS: usize = 8;
/// How much of the stack's name names begin with.
const PREFIX: usize = 12;

/// The first `digits` hexadecimal digits of the hash of `parts`.
pub fn short_hash(parts: &[&str], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hexadecimal(&hasher.finalize()).take(digits).collect()
}

/// The hexadecimal digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
}

/// What the names of a stack's load balancers, target groups and security groups begin with.
pub fn prefix(stack: &StackName) -> String {
    stack
        .as_str()
        .chars()
        .take(PREFIX)
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
        + "-"
}

/// A name for a load balancer or target group: readable, within AWS's limit, and with a hash of what cannot be changed
/// in place, so that a replacement never collides and a second run finds the same one (`aws-facts.md` 2.2).
pub fn name(stack: &StackName, readable: &str, immutable: &[&str]) -> String {
    let room = MAX_NAME - HASH_DIGITS - 1;
    let head: String = format!("{}{readable}", prefix(stack)).chars().take(room).collect();
    let mut parts = vec![stack.as_str(), readable];
    parts.extend(immutable);
    format!("{}-{}", head.trim_end_matches('-'), short_hash(&parts, HASH_DIGITS))
}

/// What the idempotency tokens of creations of `spec` at `address` begin with: another one for other settings, because AWS
/// answers a known token with the old object (`aws-facts.md` 12).
pub fn token_head(lineage: &str, address: &Address, spec: &Spec) -> String {
    let settings = spec.settings().to_string();
    format!("rcl{}", short_hash(&[lineage, &address.to_string(), &settings], 16))
}

/// The tags that mark a resource as the stack's.
pub fn ownership(stack: &StackName, address: &Address) -> Tags {
    Tags::from([
        (STACK_TAG.to_owned(), stack.to_string()),
        (RESOURCE_TAG.to_owned(), address.to_string()),
    ])
}

/// Whether `tags` mark the resource at `address` of `stack`.
pub fn is_owned(tags: &Tags, stack: &StackName, address: &Address) -> bool {
    ownership(stack, address)
        .iter()
        .all(|(key, value)| tags.get(key) == Some(value))
}
