//! Tags: whether an object found by its name is the resource that was looked for, and which tags it lacks.

use reconcile_core::{
    naming::{RESOURCE_TAG, STACK_TAG},
    resource::Tags,
};

/// Whether the tags found name the same stack and resource as the wanted ones.
pub(crate) fn is_same_resource(found: &Tags, desired: &Tags) -> bool {
    [STACK_TAG, RESOURCE_TAG]
        .iter()
        .all(|key| desired.contains_key(*key) && found.get(*key) == desired.get(*key))
}

/// The wanted tags that are absent or have another value.
pub(crate) fn missing_tags(observed: &Tags, desired: &Tags) -> Tags {
    desired
        .iter()
        .filter(|(key, value)| observed.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_others_are_not_missed() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<Tags>()
        };
        let observed = map(&[("a", "1"), ("b", "2"), ("theirs", "3")]);
        assert_eq!(
            missing_tags(&observed, &map(&[("a", "1"), ("b", "4"), ("c", "5")])),
            map(&[("b", "4"), ("c", "5")])
        );
    }

    #[test]
    fn stack_and_resource_have_to_agree() {
        let tags = |stack: &str, resource: &str| {
            Tags::from([
                (STACK_TAG.to_owned(), stack.to_owned()),
                (RESOURCE_TAG.to_owned(), resource.to_owned()),
            ])
        };
        let ours = tags("www", "load_balancer.main");
        assert!(is_same_resource(&ours, &ours));
        assert!(!is_same_resource(&tags("other", "load_balancer.main"), &ours));
        assert!(!is_same_resource(&tags("www", "target_group.www"), &ours));
        assert!(!is_same_resource(&Tags::new(), &ours));
        assert!(!is_same_resource(&Tags::new(), &Tags::new()));
    }
}
