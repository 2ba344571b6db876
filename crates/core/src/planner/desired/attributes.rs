//! Attributes by AWS's keys. Only those that were set are wanted; all others are left alone (`aws-facts.md` 2.5, 3).

use std::collections::BTreeMap;

use crate::{
    config::{LoadBalancerAttributes, Site},
    value::Seconds,
};

/// The attributes of the load balancer that were set.
pub(super) fn of_load_balancer(wanted: &LoadBalancerAttributes) -> BTreeMap<String, String> {
    let LoadBalancerAttributes {
        idle_timeout,
        deletion_protection,
        drop_invalid_headers,
        access_logs,
        others,
    } = wanted;
    let mut attributes = others.clone();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), value);
        }
    };
    set("idle_timeout.timeout_seconds", idle_timeout.map(seconds));
    set(
        "deletion_protection.enabled",
        deletion_protection.map(|enabled| enabled.to_string()),
    );
    set(
        "routing.http.drop_invalid_header_fields.enabled",
        drop_invalid_headers.map(|enabled| enabled.to_string()),
    );
    if let Some(logs) = access_logs {
        set("access_logs.s3.enabled", Some("true".to_owned()));
        set("access_logs.s3.bucket", Some(logs.bucket.clone()));
        set("access_logs.s3.prefix", logs.prefix.clone());
    }
    attributes
}

/// The attributes of a site's target group that were set.
pub(super) fn of_target_group(site: &Site) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
    if let Some(delay) = site.deregistration_delay {
        set("deregistration_delay.timeout_seconds", seconds(delay));
    }
    if let Some(duration) = site.stickiness {
        let enabled = duration.get() > 0;
        set("stickiness.enabled", enabled.to_string());
        if enabled {
            set("stickiness.type", "lb_cookie".to_owned());
            set("stickiness.lb_cookie.duration_seconds", seconds(duration));
        }
    }
    if let Some(duration) = site.slow_start {
        set("slow_start.duration_seconds", seconds(duration));
    }
    attributes
}

fn seconds(duration: Seconds) -> String {
    duration.get().to_string()
}
