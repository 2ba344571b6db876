//! Reads how a run proves the new path and how it closes the old one.

use super::{
    Deadlines, Lockdown, Prove, RequestProof, defaults,
    entry::Entry,
    reader::{Checked, Reader},
};

/// ACM itself gives up on a certificate after 72 hours (`aws-facts.md` 1.3).
const LONGEST_WAIT: u32 = 72 * 60 * 60;
/// No TTL that anybody uses is longer than a week.
const LONGEST_MARGIN: u32 = 7 * 24 * 60 * 60;

/// Reads `[prove]`.
pub(super) fn prove(root: &mut Reader<'_>) -> Checked<Prove> {
    let mut reader = root.table("prove", "[prove]")?;
    let request = reader.or("request", RequestProof::Require, |entry| {
        entry.choice(&[
            ("require", RequestProof::Require),
            ("warn", RequestProof::Warn),
            ("off", RequestProof::Off),
        ])
    });
    let deadlines = deadlines(&mut reader);
    reader.finish();
    Ok(Prove {
        request: request?,
        deadlines: deadlines?,
    })
}

fn deadlines(reader: &mut Reader<'_>) -> Checked<Deadlines> {
    let mut deadlines = reader.table("deadlines", "deadlines = { certificate = \"30m\" }")?;
    let mut deadline = |key, default| deadlines.or(key, default, |entry: &Entry<'_>| entry.seconds(1..=LONGEST_WAIT));
    let certificate = deadline("certificate", defaults::CERTIFICATE_DEADLINE);
    let load_balancer = deadline("load_balancer", defaults::LOAD_BALANCER_DEADLINE);
    let target = deadline("target", defaults::TARGET_DEADLINE);
    let request = deadline("request", defaults::REQUEST_DEADLINE);
    let dns = deadline("dns", defaults::DNS_DEADLINE);
    let release = deadline("release", defaults::RELEASE_DEADLINE);
    deadlines.finish();
    Ok(Deadlines {
        certificate: certificate?,
        load_balancer: load_balancer?,
        target: target?,
        request: request?,
        dns: dns?,
        release: release?,
    })
}

/// Reads `[lockdown]`.
pub(super) fn lockdown(root: &mut Reader<'_>) -> Checked<Lockdown> {
    let mut reader = root.table("lockdown", "[lockdown]")?;
    let enabled = reader.or("enabled", true, Entry::boolean);
    let drain_margin = reader.optional("drain_margin", |entry| entry.seconds(0..=LONGEST_MARGIN));
    let wait = reader.or("wait", defaults::DRAIN_WAIT, |entry| entry.seconds(0..=LONGEST_MARGIN));
    reader.finish();
    Ok(Lockdown {
        enabled: enabled?,
        drain_margin: drain_margin?,
        wait: wait?,
    })
}
