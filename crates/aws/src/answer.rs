//! Whether an answer is AWS's, and whole.
//!
//! The SDK's parsers are lenient: where an answer ends too early they may take what is there for all there is, and an empty
//! list means that nothing exists. What stands between (a proxy, a portal that wants a login) answers with pages of its own.

use std::fmt;

use serde_json::Value;

/// How many characters of a strange answer are shown.
const SHOWN: usize = 80;

/// What a service answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// EC2, ELB, Route 53, STS.
    Xml,
    /// ACM and WAF, whose calls without a result answer with nothing.
    Json,
}

/// An answer that is not AWS's, or not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    status: u16,
    what: String,
}

impl Malformed {
    /// Whether another attempt may bring a better answer. A proxy that forbids or wants a login does not change its mind.
    pub(crate) fn may_pass(&self) -> bool {
        self.status < 300 || self.status >= 500 || matches!(self.status, 408 | 429)
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> String {
        let look = "look for a proxy or a network that wants a login between here and AWS, and at AWS_ENDPOINT_URL and \
                    HTTPS_PROXY if they are set";
        if self.status < 300 {
            format!("{look}; then run again: what the call did, if anything, is found then")
        } else {
            format!("{look}; then run again")
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, what } = self;
        write!(
            formatter,
            "the answer is not AWS's, or not whole: HTTP status {status} with {what}"
        )
    }
}

impl std::error::Error for Malformed {}

impl Format {
    /// Looks at an answer. `has_result` is whether the call answers with something when it succeeds.
    ///
    /// # Errors
    /// If no service of AWS's answers like this.
    pub(crate) fn check(self, status: u16, body: &[u8], has_result: bool) -> Result<(), Malformed> {
        let malformed = |what: String| Err(Malformed { status, what });
        let is_success = status < 300;
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            // Failures may come without a word; the status says enough.
            return if is_success && (has_result || self == Self::Xml) {
                malformed("nothing in it".to_owned())
            } else {
                Ok(())
            };
        }
        let lower: String = text.chars().take(200).collect::<String>().to_ascii_lowercase();
        if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
            return malformed(format!("a web page: {}", shown(&without_tags(text))));
        }
        let is_whole = match self {
            Self::Xml => is_whole_xml(text),
            Self::Json => text.starts_with('{') && serde_json::from_str::<Value>(text).is_ok(),
        };
        let is_alike = match self {
            Self::Xml => text.starts_with('<'),
            Self::Json => text.starts_with('{'),
        };
        match (is_whole, is_alike) {
            (true, _) => Ok(()),
            (false, true) => malformed(format!(
                "an answer that is damaged or ends too early, after {} bytes",
                body.len()
            )),
            (false, false) => malformed(format!("other text: {}", shown(text))),
        }
    }
}

/// Whether the element that begins first ends last.
fn is_whole_xml(text: &str) -> bool {
    let mut rest = text;
    while rest.starts_with("<?") || rest.starts_with("<!--") {
        let end = if rest.starts_with("<?") { "?>" } else { "-->" };
        match rest.split_once(end) {
            Some((_, behind)) => rest = behind.trim_start(),
            None => return false,
        }
    }
    let Some(name) = rest.strip_prefix('<') else {
        return false;
    };
    let name: &str = name
        .split(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/'))
        .next()
        .unwrap_or_default();
    let is_one_empty_element = rest.ends_with("/>") && rest.matches('<').count() == 1;
    !name.is_empty() && (is_one_empty_element || rest.ends_with(&format!("</{name}>")))
}

fn without_tags(text: &str) -> String {
    let mut plain = String::new();
    let mut is_tag = false;
    for letter in text.chars() {
        match letter {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                plain.push(' ');
            }
            letter if !is_tag => plain.push(letter),
            _ => {}
        }
    }
    plain
}

/// The beginning of a text on one line, in quotes.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut short: String = line.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    format!("\"{short}\"")
}

/// The code in a failed answer: in the header that some services send, else in the body.
pub(crate) fn code(header: Option<&str>, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let in_xml = || Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0.to_owned());
    let in_json = || {
        let value: Value = serde_json::from_str(&text).ok()?;
        let code = value.get("__type").or_else(|| value.get("code"))?;
        Some(code.as_str()?.to_owned())
    };
    let code = header.map(str::to_owned).or_else(in_xml).or_else(in_json)?;
    // `com.amazonaws.acm#LimitExceededException`, and `ValidationException:http://internal...` in the header.
    let code = code.rsplit('#').next()?.split(':').next()?.trim();
    (!code.is_empty()).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "<?xml version=\"1.0\"?>\n<!-- x -->\n<R xmlns=\"u\"><Items><m>1</m></Items><Next/></R>\n";

    #[test]
    fn whole_answers_pass() {
        assert_eq!(Format::Xml.check(200, LIST.as_bytes(), true), Ok(()));
        assert_eq!(Format::Xml.check(200, b"<R/>", false), Ok(()));
        assert_eq!(Format::Xml.check(400, b"<Response><Errors/></Response>", false), Ok(()));
        assert_eq!(Format::Json.check(200, b"{\"a\": [1]}", true), Ok(()));
        // Calls without a result, and failures that say no more than their status.
        assert_eq!(Format::Json.check(200, b"", false), Ok(()));
        assert_eq!(Format::Xml.check(503, b"", true), Ok(()));
    }

    #[test]
    fn an_answer_that_ends_anywhere_too_early_is_found() {
        let whole = LIST.trim_end();
        for end in 1..whole.len() {
            assert!(
                Format::Xml.check(200, &whole.as_bytes()[..end], true).is_err(),
                "{}",
                &whole[..end]
            );
        }
        let whole = r#"{"CertificateSummaryList": [{"CertificateArn": "arn"}], "NextToken": "t"}"#;
        for end in 1..whole.len() {
            assert!(Format::Json.check(200, &whole.as_bytes()[..end], true).is_err());
        }
    }

    #[test]
    fn what_came_in_its_place_is_told() {
        let told = |format: Format, status, body: &str| format.check(status, body.as_bytes(), true).unwrap_err();
        assert_eq!(
            told(
                Format::Json,
                200,
                "<!DOCTYPE html><html><title>Hotel\nWiFi</title><body>Log in</html>"
            )
            .to_string(),
            "the answer is not AWS's, or not whole: HTTP status 200 with a web page: \"Hotel WiFi Log in\""
        );
        assert_eq!(
            told(Format::Xml, 200, "").to_string(),
            "the answer is not AWS's, or not whole: HTTP status 200 with nothing in it"
        );
        assert!(told(Format::Json, 200, "").to_string().ends_with("nothing in it"));
        assert!(told(Format::Xml, 200, "{}").to_string().contains("other text: \"{}\""));
        assert!(told(Format::Xml, 200, &"x\u{1b}".repeat(900)).to_string().len() < 200);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, passes) in [
            (200, true),
            (302, false),
            (403, false),
            (407, false),
            (429, true),
            (502, true),
        ] {
            let page = Format::Xml.check(status, b"<html>no</html>", true).unwrap_err();
            assert_eq!(page.may_pass(), passes, "{status}");
        }
    }

    #[test]
    fn codes_are_found_in_every_format() {
        let xml = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
        assert_eq!(code(None, xml).as_deref(), Some("RequestLimitExceeded"));
        let json = br#"{"__type": "com.amazonaws.acm#ThrottlingException", "message": "LimitExceededException"}"#;
        assert_eq!(code(None, json).as_deref(), Some("ThrottlingException"));
        let header = Some("ValidationException:http://internal.amazon.com/coral/");
        assert_eq!(code(header, b"{}").as_deref(), Some("ValidationException"));
        assert_eq!(code(None, b"gone"), None);
    }
}
