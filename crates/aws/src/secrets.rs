//! Keeps credentials out of what is told.
//!
//! AWS repeats parts of a request in some refusals: with a wrong signature it answers with the whole text that should have
//! been signed, the session token in it. So every set of credentials that the SDK is given is remembered, for as long as
//! the process lives, and withheld from every text.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    sync::{PoisonError, RwLock},
};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

/// What stands in the place of what is withheld.
const WITHHELD: &str = "[withheld]";

/// Shorter values are no credentials of AWS (an access key id has 16 characters at least), and could be part of any text.
const SHORTEST: usize = 16;

/// One for the process: a message can come by any way, and the last place that it passes knows no client.
static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// `text` without the credentials that this process was given, and without names and passwords in addresses.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut result = Cow::Borrowed(text);
    for secret in KNOWN.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if result.contains(secret.as_str()) {
            result = Cow::Owned(result.replace(secret.as_str(), WITHHELD));
        }
    }
    match without_user(&result) {
        Some(text) => Cow::Owned(text),
        None => result,
    }
}

/// Has these values withheld from now on.
fn remember<'a>(secrets: impl IntoIterator<Item = &'a str>) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
        if !known.contains(secret) {
            known.insert(secret.to_owned());
        }
    }
}

/// `text` without what stands in front of the `@` of an address with a scheme; `None` if there is nothing of the sort.
fn without_user(text: &str) -> Option<String> {
    let ends = |character: char| character.is_whitespace() || "/?#\"'`<>".contains(character);
    let mut result = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = rest.split_once("://") {
        let authority = after.split(ends).next().unwrap_or_default();
        result.push_str(before);
        result.push_str("://");
        rest = match authority.rfind('@') {
            Some(at) => {
                found = true;
                result.push_str(WITHHELD);
                after.get(at..).unwrap_or_default()
            }
            None => after,
        };
    }
    result.push_str(rest);
    found.then_some(result)
}

/// Credentials of another provider, remembered before they are used.
pub(crate) struct Remembered(SharedCredentialsProvider);

impl Remembered {
    /// Remembers what `inner` provides.
    pub(crate) fn provider(inner: impl ProvideCredentials + 'static) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self(SharedCredentialsProvider::new(inner)))
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Remembered")
    }
}

impl ProvideCredentials for Remembered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let credentials = self.0.provide_credentials().await?;
            let values = [credentials.access_key_id(), credentials.secret_access_key()];
            remember(values.into_iter().chain(credentials.session_token()));
            Ok(credentials)
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    #[tokio::test]
    async fn what_was_provided_is_withheld_everywhere() {
        let credentials = Credentials::new(
            "AKIAWITHHELD00000000",
            "wJalrXUtnFEMI/K7MDENG",
            Some("IQoJ-token-0123456789".to_owned()),
            None,
            "test",
        );
        let text = "Credential=AKIAWITHHELD00000000/20260101, x-amz-security-token:IQoJ-token-0123456789, wJalrXUtnFEMI/K7MDENG";
        assert_eq!(without_secrets(text), text);
        Remembered::provider(credentials).provide_credentials().await.unwrap();
        assert_eq!(
            without_secrets(text),
            "Credential=[withheld]/20260101, x-amz-security-token:[withheld], [withheld]"
        );
    }

    #[test]
    fn short_values_are_no_credentials() {
        remember(["testing"]);
        assert_eq!(without_secrets("testing"), "testing");
    }

    #[test]
    fn names_and_passwords_in_addresses_are_withheld() {
        for (text, expected) in [
            (
                "at http://user:pass@127.0.0.1:80/a@b",
                "at http://[withheld]@127.0.0.1:80/a@b",
            ),
            (
                "`https://u:p@ss@h` and http://h/",
                "`https://[withheld]@h` and http://h/",
            ),
            ("http://h/?u=a@b", "http://h/?u=a@b"),
            ("a@b ://", "a@b ://"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
