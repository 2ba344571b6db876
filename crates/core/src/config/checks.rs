//! Checks of single values that say more than the value types themselves: what AWS would refuse later.

use std::{collections::BTreeMap, net::IpAddr, ops::Range};

use super::{
    SiteName, StackName, defaults,
    entry::Entry,
    reader::{Checked, shown},
};
use crate::{
    naming::short_hash,
    value::{CanonicalCidr, DomainName, DomainNameError},
};

/// Digits of the hash that shortens a name.
const HASH_DIGITS: usize = 8;

/// What is wrong with `text` as the name of a stack or site of at most `most` characters.
fn name_fault(text: &str, most: usize) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > most {
        Some(format!(
            "a name has 1 to {most} characters, `{}` has {}",
            shown(text),
            text.chars().count()
        ))
    } else if !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
        Some(format!(
            "`{}` is no name: it may hold lower-case letters, digits and inner hyphens only",
            shown(text)
        ))
    } else {
        None
    }
}

/// Whether AWS would take a load balancer of this stack for one of its own internal ones: their names may not begin with
/// `internal-` (`aws-facts.md` 3).
fn looks_internal(stack: &str) -> bool {
    stack == "internal" || stack.starts_with("internal-")
}

/// The name of a stack.
pub(super) fn stack_name(entry: &Entry<'_>) -> Checked<StackName> {
    let text = entry.text("\"www-example-com\"")?;
    if let Some(fault) = name_fault(text, defaults::MAX_STACK_NAME) {
        return Err(entry.invalid(fault, "choose a name such as `www-example-com`"));
    }
    if looks_internal(text) {
        return Err(entry.invalid(
            "a stack cannot be named `internal` or `internal-...`: AWS keeps such load balancer names for itself",
            format!("choose another name, for example `my-{text}`"),
        ));
    }
    Ok(StackName(text.to_owned()))
}

/// The name that a stack has unless it is given one: that of its first domain, without the wildcard.
pub(super) fn derived_stack_name(domain: &DomainName) -> StackName {
    let name = domain.without_wildcard().as_str().replace(['.', '_'], "-");
    let name = name.trim_matches('-');
    let name = if looks_internal(name) {
        format!("site-{name}")
    } else {
        name.to_owned()
    };
    if name.len() <= defaults::MAX_STACK_NAME {
        return StackName(name);
    }
    let head: String = name.chars().take(defaults::MAX_STACK_NAME - HASH_DIGITS - 1).collect();
    let hash = short_hash(&[domain.without_wildcard().as_str()], HASH_DIGITS);
    StackName(format!("{}-{hash}", head.trim_end_matches('-')))
}

/// The name of a site, which is the `key` at `span` of the table of sites.
pub(super) fn site_name(sites: &Entry<'_>, key: &str, span: Range<usize>) -> Checked<SiteName> {
    match name_fault(key, defaults::MAX_SITE_NAME) {
        Some(fault) => Err(sites.invalid_key(
            key,
            span,
            fault,
            "choose a short name such as `www`, as in `[site.www]`",
        )),
        None => Ok(SiteName(key.to_owned())),
    }
}

/// The name becomes that of a file, so one that comes from elsewhere than the configuration is held to the same rules.
impl TryFrom<String> for StackName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match name_fault(&text, defaults::MAX_STACK_NAME) {
            Some(fault) => Err(fault),
            None => Ok(Self(text)),
        }
    }
}

impl TryFrom<String> for SiteName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for SiteName {
    type Err = String;

    /// # Errors
    /// What is wrong with the name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match name_fault(text, defaults::MAX_SITE_NAME) {
            Some(fault) => Err(fault),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// A name that a public certificate can be issued for.
pub(super) fn domain(entry: &Entry<'_>) -> Checked<DomainName> {
    const EXAMPLE: &str = "\"www.example.com\"";
    let text = entry.text(EXAMPLE)?;
    if text.trim().parse::<IpAddr>().is_ok() {
        return Err(entry.invalid(
            format!("`{}` is an address, a domain name is needed", shown(text)),
            "write the name that visitors type, such as `www.example.com`",
        ));
    }
    if text.contains(['/', ':', '@']) {
        return Err(entry.invalid(
            format!("`{}` is not a domain name", shown(text)),
            "write the name alone, such as `www.example.com`, without `https://`, port and path",
        ));
    }
    let name: DomainName = text.parse().map_err(|error: DomainNameError| {
        let hint = match error {
            DomainNameError::Empty | DomainNameError::SingleLabel { .. } => {
                "write the whole public name, such as `www.example.com`"
            }
            DomainNameError::TooLong { .. } => "choose a shorter name: DNS cannot carry this one",
            DomainNameError::LabelLength { found: 0, .. } => "remove the extra dot",
            DomainNameError::LabelLength { .. } => "shorten the part between two dots",
            DomainNameError::LabelCharacters { .. } => "write the name as it stands in DNS, such as `www.example.com`",
            DomainNameError::Wildcard => "write `*.example.com`, or name each host by itself",
            DomainNameError::International { .. } => "check its spelling, or write it in its ASCII form (`xn--...`)",
        };
        entry.invalid(error.to_string(), hint)
    })?;
    if name.as_str().contains('_') {
        return Err(entry.invalid(
            format!("`{name}` holds a `_`: certificates are issued for letters, digits and hyphens only"),
            "choose a name without `_`",
        ));
    }
    let bare = name.without_wildcard();
    let suffix = psl::suffix(bare.as_str().as_bytes());
    let suffix = suffix.filter(psl::Suffix::is_known);
    let Some(suffix) = suffix else {
        let last = bare.as_str().rsplit('.').next().unwrap_or_default().to_owned();
        return Err(entry.invalid(
            format!(
                "`.{last}` is not a public top-level domain, so no public certificate can be issued for `{}`",
                shown(text.trim())
            ),
            "use a name below a public domain that you own, such as `www.example.com`",
        ));
    };
    // Those of the private part of the list (`github.io`) have an owner, who may well run a site on them.
    if suffix.as_bytes() == bare.as_str().as_bytes() && suffix.typ() == Some(psl::Type::Icann) {
        return Err(entry.invalid(
            format!("`{bare}` is a public suffix, below which others register their names"),
            format!("write the name that you registered below it, such as `www.example.{bare}`"),
        ));
    }
    Ok(name)
}

/// The path of a health check (`aws-facts.md` 2.3).
pub(super) fn health_path(entry: &Entry<'_>) -> Checked<String> {
    const MOST: usize = 1024;
    let text = entry.text("\"/\"")?;
    let (message, hint) = if !text.starts_with('/') {
        (
            format!("the path `{}` does not begin with `/`", shown(text)),
            "write the path alone, such as `/` or `/health`".to_owned(),
        )
    } else if text.len() > MOST {
        (
            format!("a path has at most {MOST} characters, this one has {}", text.len()),
            "choose a shorter path".to_owned(),
        )
    } else if text.contains('#') {
        (
            "a path cannot hold a fragment (`#...`): it is never sent to the server".to_owned(),
            format!("write `{}`", shown(text.split('#').next().unwrap_or("/"))),
        )
    } else if let Some(character) = text.chars().find(|character| !character.is_ascii_graphic()) {
        let mut buffer = [0; 4];
        let encoded: Vec<String> = character
            .encode_utf8(&mut buffer)
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        (
            format!("a path cannot hold `{character}`"),
            format!("write it as `{}`", encoded.concat()),
        )
    } else {
        return Ok(text.to_owned());
    };
    Err(entry.invalid(message, hint))
}

/// The codes that mean healthy: a list of codes and ranges within 200 to 499 (`aws-facts.md` 2.3).
pub(super) fn health_codes(entry: &Entry<'_>) -> Checked<String> {
    const HINT: &str = "write codes and ranges from 200 to 499, such as `\"200\"`, `\"200,204\"` or `\"200-299\"`";
    let text = entry.text("\"200\"")?;
    let code = |text: &str| -> Result<u16, String> {
        let text = text.trim();
        let number = (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .ok_or_else(|| format!("`{}` is not a status code", shown(text)))?;
        match number {
            200..=499 => Ok(number),
            500..=599 => Err(format!(
                "{number} means that the server failed: an ALB takes 200 to 499 for healthy"
            )),
            _ => Err(format!(
                "{number} lies outside 200 to 499, which is all that an ALB takes for healthy"
            )),
        }
    };
    let part = |part: &str| match part.split_once('-') {
        None => code(part).map(|code| code.to_string()),
        Some((first, last)) => {
            let (first, last) = (code(first)?, code(last)?);
            if first <= last {
                Ok(format!("{first}-{last}"))
            } else {
                Err(format!("the range `{first}-{last}` runs backwards"))
            }
        }
    };
    let parts: Result<Vec<String>, String> = text.split(',').map(part).collect();
    // Without blanks, as AWS stores them: otherwise every plan would find a difference.
    parts
        .map(|parts| parts.join(","))
        .map_err(|fault| entry.invalid(fault, HINT))
}

/// An address range.
pub(super) fn cidr(entry: &Entry<'_>) -> Checked<CanonicalCidr> {
    let text = entry.text("\"203.0.113.0/24\"")?;
    let text = text.trim();
    text.parse().map_err(|error: crate::value::CidrError| {
        let hint = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("for this address alone write `\"{address}/32\"`"),
            Ok(IpAddr::V6(address)) => format!("for this address alone write `\"{address}/128\"`"),
            Err(_) => "write addresses and the length of their common part, such as `\"203.0.113.0/24\"`".to_owned(),
        };
        entry.invalid(error.to_string(), hint)
    })
}

/// The name of a security policy. Whether it exists is asked of AWS later.
pub(super) fn tls_policy(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.filled(&format!("\"{}\"", defaults::TLS_POLICY))?;
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err(entry.invalid(
            format!("`{}` is not the name of a security policy", shown(text)),
            format!("AWS recommends `{}` at present", defaults::TLS_POLICY),
        ))
    }
}

/// The name of a bucket.
pub(super) fn bucket(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.text("\"my-logs\"")?;
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    if (3..=63).contains(&bytes.len()) && text.bytes().all(inner) && edge(bytes.first()) && edge(bytes.last()) {
        Ok(text.to_owned())
    } else {
        Err(entry.invalid(
            format!("`{}` is not the name of a bucket", shown(text)),
            "write the name alone, such as `my-logs`: 3 to 63 lower-case letters, digits, hyphens and dots",
        ))
    }
}

/// The tags of everything that is created.
pub(super) fn tags(entry: &Entry<'_>) -> Checked<BTreeMap<String, String>> {
    /// AWS takes 50 on most resources; the rest is for the tags that mark ownership.
    const MOST: usize = 40;
    const MOST_KEY: usize = 128;
    const MOST_VALUE: usize = 256;
    let table = entry.table("tags = { team = \"web\" }")?;
    let mut tags = BTreeMap::new();
    let mut result = Ok(());
    if table.len() > MOST {
        result = Err(entry.invalid(
            format!("at most {MOST} tags are possible, these are {}", table.len()),
            "remove some",
        ));
    }
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let lower = name.to_lowercase();
        let length = name.chars().count();
        let fault = if lower.starts_with("aws:") || lower.starts_with("reconcile:") {
            let owner = if lower.starts_with("aws:") { "AWS" } else { "this tool" };
            let prefix = lower.split(':').next().unwrap_or_default();
            Some((
                format!("tags that begin with `{prefix}:` are kept by {owner} for itself"),
                "choose a key without that prefix",
            ))
        } else if length == 0 || length > MOST_KEY {
            Some((
                format!("the key of a tag has 1 to {MOST_KEY} characters, this one has {length}"),
                "choose a shorter key",
            ))
        } else {
            tag_character(name).map(|character| {
                (
                    format!("the key of a tag cannot hold `{}`", character.escape_default()),
                    TAG_CHARACTERS,
                )
            })
        };
        if let Some((message, hint)) = fault {
            result = Err(entry.invalid_key(name, key.span(), message, hint));
        }
        match tag_value(&entry.child(name, value), MOST_VALUE) {
            Ok(value) => {
                tags.insert(name.to_owned(), value);
            }
            Err(reported) => result = Err(reported),
        }
    }
    result.map(|()| tags)
}

const TAG_CHARACTERS: &str = "tags hold letters, digits, blanks and `_ . : / = + - @`";

fn tag_value(entry: &Entry<'_>, most: usize) -> Checked<String> {
    let value = entry.text("\"web\"")?;
    let length = value.chars().count();
    if length > most {
        return Err(entry.invalid(
            format!("the value of a tag has at most {most} characters, this one has {length}"),
            "shorten it",
        ));
    }
    match tag_character(value) {
        None => Ok(value.to_owned()),
        Some(character) => Err(entry.invalid(
            format!("the value of a tag cannot hold `{}`", character.escape_default()),
            TAG_CHARACTERS,
        )),
    }
}

/// A character that one of the services does not allow in a tag.
fn tag_character(text: &str) -> Option<char> {
    text.chars().find(|&character| {
        let blank = character.is_whitespace() && !character.is_control();
        !character.is_alphanumeric() && !blank && !"_.:/=+-@".contains(character)
    })
}
