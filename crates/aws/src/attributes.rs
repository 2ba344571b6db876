//! Attributes by AWS's keys: what of the wanted ones differs from what is there.

use std::collections::BTreeMap;

/// The wanted attributes that have another value. One that AWS does not name has the empty one, as headers that are not
/// set (`aws-facts.md` 4.4).
pub(crate) fn changed<'a>(
    observed: &BTreeMap<String, String>,
    desired: &'a BTreeMap<String, String>,
) -> BTreeMap<&'a str, &'a str> {
    desired
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .filter(|(key, value)| observed.get(*key).map_or("", String::as_str) != *value)
        .collect()
}

/// What AWS's lists of attributes come to.
pub(crate) fn map<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> BTreeMap<String, String> {
    pairs
        .filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_changed() {
        let observed = map([(Some("delay"), Some("300")), (Some("header"), None), (None, Some("1"))].into_iter());
        let desired = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| (Some(*key), Some(*value)));
            map(pairs)
        };
        let wanted = desired(&[("delay", "300"), ("header", ""), ("absent", "")]);
        assert!(changed(&observed, &wanted).is_empty());
        let wanted = desired(&[("delay", "30"), ("header", "max-age=300"), ("new", "on")]);
        assert_eq!(changed(&observed, &wanted).len(), 3);
    }
}
