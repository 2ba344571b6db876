//! Reads where the state is kept.

use super::{
    S3State, StateBackend,
    entry::Entry,
    reader::{Checked, Reader},
};
use crate::value::{AccountId, Region};

/// Lengths of a bucket's name (Amazon S3 User Guide, "Bucket naming rules").
const BUCKET_LENGTH: std::ops::RangeInclusive<usize> = 3..=63;
/// The longest key of an object, less room for what is put behind the key of a state.
const MAX_KEY: usize = 1000;
const BUCKET_EXAMPLE: &str = "\"my-states\"";
/// What else can be said only if the state is on S3.
const S3_KEYS: [&str; 5] = ["bucket", "key", "region", "kms_key", "bucket_owner"];

/// Reads `[state]`.
pub(super) fn state(root: &mut Reader<'_>) -> Checked<StateBackend> {
    let mut reader = root.table("state", "[state]")?;
    let on_s3 = reader.or("backend", false, |entry| {
        entry.choice(&[("local", false), ("s3", true)])
    });
    let on_s3 = on_s3?;
    if !on_s3 {
        let mut misplaced = Ok(());
        for key in S3_KEYS {
            if let Some(entry) = reader.take(key) {
                misplaced = Err(entry.invalid(
                    format!("`{key}` belongs to a state on S3, and this one is local"),
                    format!("add `backend = \"s3\"` to `[state]`, or leave `{key}` out"),
                ));
            }
        }
        reader.finish();
        return misplaced.map(|()| StateBackend::Local);
    }
    let bucket = reader.required("bucket", BUCKET_EXAMPLE, bucket);
    let key = reader.optional("key", key);
    let region = reader.optional("region", |entry| {
        entry.parsed::<Region>(
            "\"eu-west-1\"",
            "write the code of the bucket's region, or leave it out if it is the stack's",
        )
    });
    let kms_key = reader.optional("kms_key", |entry| entry.filled("\"alias/states\"").map(str::to_owned));
    let owner = reader.optional("bucket_owner", |entry| {
        entry.parsed::<AccountId>(
            "\"123456789012\"",
            "write the twelve digits of the account that the bucket is of",
        )
    });
    reader.finish();
    Ok(StateBackend::S3(S3State {
        bucket: bucket?,
        key: key?,
        region: region?,
        kms_key: kms_key?,
        owner: owner?,
    }))
}

fn bucket(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.filled(BUCKET_EXAMPLE)?;
    if is_bucket(text) {
        return Ok(text.to_owned());
    }
    Err(entry.invalid(
        format!(
            "the name of a bucket has {} to {} lower-case letters, digits, inner hyphens and dots",
            BUCKET_LENGTH.start(),
            BUCKET_LENGTH.end()
        ),
        "write the bucket's name alone, without `s3://` and without a path: that is `key`",
    ))
}

/// Whether this can be the name of a bucket.
pub(super) fn is_bucket(text: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '.';
    let outer = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    BUCKET_LENGTH.contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
        && !text.contains("..")
}

fn key(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.filled("\"reconcile/www-example-com.json\"")?;
    if is_key(text) {
        return Ok(text.to_owned());
    }
    Err(entry.invalid(
        format!("`key` is the path of an object: at most {MAX_KEY} characters, without `.` and `..` as parts, and no `/` at its ends"),
        "write for example \"reconcile/www-example-com.json\"",
    ))
}

/// Whether this can be the key of a state. `.lock` at its end would be the lock of another.
pub(super) fn is_key(text: &str) -> bool {
    (1..=MAX_KEY).contains(&text.len())
        && !text.chars().any(char::is_control)
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && text.strip_suffix(".lock").is_none()
}
