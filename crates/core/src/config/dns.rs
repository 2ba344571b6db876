//! Reads the way to Route 53, for hosted zones in another account.

use super::{
    Dns, DnsRole,
    entry::Entry,
    reader::{Checked, Reader},
};
use crate::value::RoleArn;

/// Lengths of an external id, and what it may hold beside letters and digits (`ExternalId` of STS's `AssumeRole`).
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 2..=1224;
const EXTERNAL_ID_MARKS: &str = "_+=,.@:/\\-";
const ROLE_EXAMPLE: &str = "\"arn:aws:iam::123456789012:role/reconcile-dns\"";

/// Reads `[dns]`.
pub(super) fn dns(root: &mut Reader<'_>) -> Checked<Dns> {
    let mut reader = root.table("dns", "[dns]")?;
    let profile = reader.optional("profile", |entry| entry.filled("\"dns\"").map(str::to_owned));
    let has_role = std::cell::Cell::new(false);
    let role = reader.optional("role", |entry| {
        has_role.set(true);
        entry.parsed::<RoleArn>(
            ROLE_EXAMPLE,
            "write the ARN of a role in the account of the hosted zone; `aws iam get-role` tells it",
        )
    });
    let external_id = reader.optional("external_id", |entry| {
        let id = external_id(entry);
        if has_role.get() {
            return id;
        }
        Err(entry.invalid(
            "`external_id` belongs to a role, and there is no `role`",
            format!("add `role = {ROLE_EXAMPLE}`, or leave `external_id` out"),
        ))
    });
    reader.finish();
    let (profile, external_id) = (profile?, external_id?);
    Ok(Dns {
        profile,
        role: role?.map(|arn| DnsRole { arn, external_id }),
    })
}

fn external_id(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.filled("\"my-external-id\"")?;
    let fits = |character: char| character.is_ascii_alphanumeric() || EXTERNAL_ID_MARKS.contains(character);
    if EXTERNAL_ID.contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(entry.invalid(
        format!(
            "`external_id` has {} to {} letters, digits and `{EXTERNAL_ID_MARKS}`",
            EXTERNAL_ID.start(),
            EXTERNAL_ID.end()
        ),
        "write it as it stands in the role's trust policy, under `sts:ExternalId`",
    ))
}
