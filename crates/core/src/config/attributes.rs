//! Reads what is handed to AWS nearly as it is written: attributes by AWS's keys, the HSTS header, the web ACL.

use std::collections::BTreeMap;

use toml::{Spanned, de::DeValue};

use super::{
    defaults,
    entry::Entry,
    reader::{Checked, join, shown},
    site::Surroundings,
};
use crate::value::Arn;

/// Attributes of load balancers that have a setting of their own.
pub(super) const OF_LOAD_BALANCERS: &[(&str, &str)] = &[
    ("idle_timeout.timeout_seconds", "idle_timeout"),
    ("deletion_protection.enabled", "deletion_protection"),
    (
        "routing.http.drop_invalid_header_fields.enabled",
        "drop_invalid_headers",
    ),
    ("access_logs.s3.enabled", "access_logs"),
    ("access_logs.s3.bucket", "access_logs.bucket"),
    ("access_logs.s3.prefix", "access_logs.prefix"),
];
/// Attributes of listeners that have a setting of their own (`aws-facts.md` 4.4).
pub(super) const OF_LISTENERS: &[(&str, &str)] =
    &[("routing.http.response.strict_transport_security.header_value", "hsts")];

/// Attributes by AWS's keys, which are full of dots: `"a.b" = ""` and `a.b = ""` mean the same.
///
/// Keys of `own` are refused in favour of their setting.
pub(super) fn attributes<'d>(
    entry: &Entry<'d>,
    own: &[(&str, &str)],
    example: &str,
) -> Checked<BTreeMap<String, String>> {
    let mut values = Vec::new();
    collect(entry, "", entry.table(example)?.iter(), &mut values);
    let mut attributes: BTreeMap<String, (String, Entry<'d>)> = BTreeMap::new();
    let mut result = Ok(());
    for (key, span, value) in values {
        let fault = if let Some((_, setting)) = own.iter().find(|(known, _)| *known == key) {
            Some((
                format!("`{key}` has a setting of its own: `{setting}`"),
                format!("set `{setting}` in `[load_balancer]` in its place"),
            ))
        } else {
            key_fault(&key).map(|fault| {
                let hint = "write the key as AWS's documentation has it, such as `routing.http2.enabled`";
                (fault, hint.to_owned())
            })
        };
        if let Some((message, hint)) = fault {
            result = Err(entry.invalid_key(&key, span.clone(), message, &hint));
        }
        match attribute_value(&value) {
            Err(reported) => result = Err(reported),
            Ok(text) => {
                if let Some((_, first)) = attributes.get(&key) {
                    result = Err(value.conflict(
                        format!("`{}` is set twice", shown(&key)),
                        "keep one of the two",
                        (first.span(), "first here"),
                    ));
                } else {
                    attributes.insert(key, (text, value));
                }
            }
        }
    }
    result.map(|()| attributes.into_iter().map(|(key, (text, _))| (key, text)).collect())
}

type Attribute<'d> = (String, std::ops::Range<usize>, Entry<'d>);

/// Every value below a table with its full key.
fn collect<'d>(
    entry: &Entry<'d>,
    prefix: &str,
    table: impl Iterator<Item = (&'d Spanned<std::borrow::Cow<'d, str>>, &'d Spanned<DeValue<'d>>)>,
    into: &mut Vec<Attribute<'d>>,
) {
    for (key, value) in table {
        let full = join(prefix, key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => collect(entry, &full, inner.iter(), into),
            _ => into.push((full.clone(), key.span(), entry.child(&full, value))),
        }
    }
}

/// What is wrong with the key of an attribute.
fn key_fault(key: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    if key.is_empty() || key.len() > defaults::MAX_ATTRIBUTE_KEY {
        Some(format!(
            "the key of an attribute has 1 to {} characters, this one has {}",
            defaults::MAX_ATTRIBUTE_KEY,
            key.chars().count()
        ))
    } else if !key.bytes().all(fits) {
        Some(format!(
            "`{}` is not the key of an attribute: it may hold letters, digits, `.` and `_` only",
            shown(key)
        ))
    } else {
        None
    }
}

fn attribute_value(entry: &Entry<'_>) -> Checked<String> {
    let text = entry.text("\"true\"")?;
    if text.len() > defaults::MAX_ATTRIBUTE_VALUE {
        return Err(entry.invalid(
            format!(
                "the value of an attribute has at most {} characters, this one has {}",
                defaults::MAX_ATTRIBUTE_VALUE,
                text.chars().count()
            ),
            "shorten it",
        ));
    }
    match text.chars().find(|character| !character.is_ascii()) {
        None => Ok(text.to_owned()),
        Some(character) => Err(entry.invalid(
            format!("the value of an attribute cannot hold `{character}`"),
            "write it in ASCII, as it stands in headers and settings",
        )),
    }
}

/// The value of the header `Strict-Transport-Security` (RFC 6797), in one spelling.
pub(super) fn hsts(entry: &Entry<'_>) -> Checked<String> {
    const HINT: &str = "write for example `\"max-age=86400\"`. Browsers remember it for that many seconds and nothing \
                        takes it back: begin with a day, and lengthen it when all is well";
    let text = entry.filled("\"max-age=86400\"")?;
    let mut directives = text.split(';').map(str::trim);
    let first = directives.next().unwrap_or_default();
    let age = first
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .map(|(_, age)| age.trim());
    let Some(age) = age else {
        return Err(entry.invalid(format!("`{}` does not begin with `max-age=NUMBER`", shown(text)), HINT));
    };
    let digits = !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit());
    let Some(seconds) = digits.then(|| age.parse::<u32>().ok()).flatten() else {
        return Err(entry.invalid(
            format!("`{}` is not a number of seconds such as `31536000`", shown(age)),
            HINT,
        ));
    };
    let (mut subdomains, mut preload) = (false, false);
    for directive in directives {
        let seen = match directive.to_ascii_lowercase().as_str() {
            "includesubdomains" => &mut subdomains,
            "preload" => &mut preload,
            "" => return Err(entry.invalid("there is nothing behind a `;`", "remove the extra `;`")),
            _ => {
                return Err(entry.invalid(
                    format!("`{}` is no directive that browsers know", shown(directive)),
                    "behind `max-age=NUMBER` stand `includeSubDomains` and `preload`, each behind a `;`",
                ));
            }
        };
        if std::mem::replace(seen, true) {
            return Err(entry.invalid(format!("`{}` stands twice", shown(directive)), "remove one of the two"));
        }
    }
    if preload && !(subdomains && u64::from(seconds) >= defaults::HSTS_PRELOAD_AGE) {
        return Err(entry.invalid(
            "browsers take a name into their own lists only with `includeSubDomains` and a `max-age` of a year or more",
            format!(
                "remove `preload`, or write `\"max-age={}; includeSubDomains; preload\"`: it binds all names below the \
                 site's, for good",
                defaults::HSTS_PRELOAD_AGE
            ),
        ));
    }
    let mut value = format!("max-age={seconds}");
    if subdomains {
        value.push_str("; includeSubDomains");
    }
    if preload {
        value.push_str("; preload");
    }
    Ok(value)
}

/// The ARN of a web ACL that a load balancer can have: of regional scope and in its own region (`aws-facts.md` 9).
pub(super) fn web_acl(entry: &Entry<'_>, surroundings: &Surroundings<'_>) -> Checked<String> {
    const EXAMPLE: &str = "\"arn:aws:wafv2:ap-northeast-1:123456789012:regional/webacl/web/\
                           01234567-89ab-cdef-0123-456789abcdef\"";
    const HINT: &str = "copy the ARN of a web ACL from AWS WAF, such as \
                        `arn:aws:wafv2:REGION:ACCOUNT:regional/webacl/NAME/ID`";
    let text = entry.text(EXAMPLE)?;
    let refuse = |message: String, hint: &str| Err(entry.invalid(message, hint));
    let Some(arn) = Arn::parse(text) else {
        return refuse(format!("`{}` is not an ARN", shown(text)), HINT);
    };
    match (arn.service, arn.path().as_slice()) {
        ("wafv2", ["regional", "webacl", _, _]) => {}
        ("wafv2", ["global", "webacl", _, _]) => {
            return refuse(
                "the web ACL is of global scope, which is for CloudFront".to_owned(),
                "name one of regional scope in the load balancer's region",
            );
        }
        ("waf" | "waf-regional", _) => {
            return refuse(
                "the web ACL is one of AWS WAF Classic, which has ended".to_owned(),
                "name a web ACL of today's AWS WAF, `arn:aws:wafv2:...`",
            );
        }
        _ => return refuse(format!("`{}` is not the ARN of a web ACL", shown(text)), HINT),
    }
    if let Some((region, span)) = &surroundings.region
        && arn.region != region.as_str()
    {
        return Err(entry.conflict(
            format!(
                "the web ACL lies in `{}`, the load balancer in `{region}`",
                shown(arn.region)
            ),
            "a load balancer takes web ACLs of its own region only: name one from there",
            (span.clone(), "the region"),
        ));
    }
    Ok(text.to_owned())
}
