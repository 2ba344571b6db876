//! What a configuration file says, as digests: enough to tell whether it says something else later, and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::naming::hexadecimal;

/// Hexadecimal digits of the digest of one setting. It only has to tell two values of one setting apart.
const SETTING_DIGITS: usize = 16;

/// The content of a configuration file without its layout: comments, order, spaces and ways to quote do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// SHA-256 of all settings, in hexadecimal digits.
    pub sha256: String,
    /// The beginning of the SHA-256 of each setting, by its path.
    pub settings: BTreeMap<String, String>,
}

impl Fingerprint {
    /// The content of a file. What is not TOML has a fingerprint too, that of a file without settings: who reads the
    /// configuration refuses it.
    pub fn of(text: &str) -> Self {
        let table: Table = text.parse().unwrap_or_default();
        let mut values = BTreeMap::new();
        for (key, value) in &table {
            collect(&name_of(key), value, &mut values);
        }
        let mut all = Sha256::new();
        for (path, value) in &values {
            for part in [path, value] {
                all.update(part.as_bytes());
                all.update([0]);
            }
        }
        let settings = values.into_iter().map(|(path, value)| {
            let digest = hexadecimal(&Sha256::digest(value)).take(SETTING_DIGITS).collect();
            (path, digest)
        });
        Self {
            sha256: hexadecimal(&all.finalize()).collect(),
            settings: settings.collect(),
        }
    }

    /// The paths of the settings that differ between this content and a later one, each with what happened to it.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, digest) in &self.settings {
            match later.settings.get(path) {
                Some(now) if now == digest => {}
                Some(_) => found.push(format!("`{path}` changed")),
                None => found.push(format!("`{path}` was removed")),
            }
        }
        let added = later.settings.keys().filter(|path| !self.settings.contains_key(*path));
        found.extend(added.map(|path| format!("`{path}` was added")));
        found
    }
}

fn collect(path: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                collect(&format!("{path}.{}", name_of(key)), value, values);
            }
        }
        // As TOML writes it: `1` and `"1"` are not the same.
        other => {
            values.insert(path.to_owned(), other.to_string());
        }
    }
}

/// A key as it stands in a path: dots within a key are no steps of the path.
fn name_of(key: &str) -> String {
    let is_bare = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare && !key.is_empty() {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_does_not_count_and_content_does() {
        let one = Fingerprint::of("region = 'a'\n[site.www]\nhealth = { path = \"/\" }\naliases = [\"b\", \"c\"]\n");
        let same =
            Fingerprint::of("region = \"a\" # here\n[site]\nwww = { aliases = ['b', 'c'], health.path = '/' }\n");
        assert_eq!(one, same);
        assert_eq!((one.sha256.len(), one.differences(&same).len()), (64, 0));
        let other = Fingerprint::of("name = 'x'\n[site.www]\nhealth = { path = \"/up\" }\naliases = [\"b\", \"c\"]\n");
        assert_ne!(one.sha256, other.sha256);
        assert_eq!(
            one.differences(&other),
            [
                "`region` was removed",
                "`site.www.health.path` changed",
                "`name` was added"
            ]
        );
        for (one, other) in [
            ("a = 1", "a = '1'"),
            ("a.b = 1", "'a.b' = 1"),
            ("a = {}", "a = []"),
            ("", "a = ''"),
        ] {
            assert_ne!(
                Fingerprint::of(one).sha256,
                Fingerprint::of(other).sha256,
                "{one} and {other}"
            );
        }
    }
}
