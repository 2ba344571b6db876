//! Reads the sites.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    CertificateSource, Health, KeyAlgorithm, Protocol, Site, SiteName, checks, defaults,
    entry::Entry,
    reader::{Checked, Reader, shown},
};
use crate::value::{CertificateArn, DomainName, InstanceId, MAX_COMMON_NAME_OCTETS, Region, Seconds};

const PROTOCOLS: [(&str, Protocol); 2] = [("HTTPS", Protocol::Https), ("HTTP", Protocol::Http)];
const KEY_ALGORITHMS: [(&str, KeyAlgorithm); 3] = [
    ("RSA_2048", KeyAlgorithm::Rsa2048),
    ("EC_prime256v1", KeyAlgorithm::EcPrime256v1),
    ("EC_secp384r1", KeyAlgorithm::EcSecp384r1),
];
/// A site, for the hint where something else stands.
const EXAMPLE: &str = "[site.www]";
/// The smallest site, for the hint where there is none.
pub(super) const EXAMPLE_HINT: &str = "add one, for example\n\n[site.www]\ndomain   = \"www.example.com\"\n\
                                       instance = \"i-0123456789abcdef0\"\nhealth   = { path = \"/\" }";
const INSTANCE: &str = "\"i-0123456789abcdef0\"";

/// What the sites of a file have to agree on among each other and with the rest of it.
pub(super) struct Surroundings<'d> {
    /// The region and where it stands.
    pub(super) region: Option<(Region, Range<usize>)>,
    /// Every name of every site: what it is, whose and where.
    pub(super) names: RefCell<Vec<(DomainName, String, Entry<'d>)>>,
    /// The domain of every site.
    pub(super) domains: RefCell<Vec<(usize, DomainName)>>,
    /// The port of every site that sets one on the load balancer.
    pub(super) listen_ports: RefCell<Vec<(u16, Entry<'d>)>>,
    /// Whether a site sets none, and so listens on the default one.
    pub(super) default_port: Cell<bool>,
}

impl Surroundings<'_> {
    /// Those of a file with this region.
    pub(super) fn new(region: Option<(Region, Range<usize>)>) -> Self {
        Self {
            region,
            names: RefCell::default(),
            domains: RefCell::default(),
            listen_ports: RefCell::default(),
            default_port: Cell::default(),
        }
    }

    /// The domain that stands first in the file.
    pub(super) fn first_domain(&self) -> Option<DomainName> {
        let domains = self.domains.borrow();
        let first = domains.iter().min_by_key(|(offset, _)| *offset);
        first.map(|(_, domain)| domain.clone())
    }

    /// Refuses a name that stands twice: one record cannot lead to two sites.
    pub(super) fn check_names(&self) -> Checked<()> {
        let mut names = self.names.borrow_mut();
        names.sort_by_key(|(_, _, entry)| entry.span().start);
        let mut seen: BTreeMap<&DomainName, (&str, &Entry<'_>)> = BTreeMap::new();
        let mut result = Ok(());
        for (name, site, entry) in names.iter() {
            let Some((owner, first)) = seen.get(name) else {
                seen.insert(name, (site, entry));
                continue;
            };
            let (message, hint) = if owner == site {
                (
                    format!("`{name}` stands twice in the site `{site}`"),
                    "remove one of the two",
                )
            } else {
                (
                    format!("`{name}` belongs to the site `{owner}` already"),
                    "a name leads to one site: remove it from the other",
                )
            };
            result = Err(entry.conflict(message, hint, (first.span(), "first here")));
        }
        result
    }
}

/// Reads every site of the table of sites.
pub(super) fn sites<'d>(entry: &Entry<'d>, surroundings: &Surroundings<'d>) -> Checked<BTreeMap<SiteName, Site>> {
    let mut sites = BTreeMap::new();
    let mut result = Ok(());
    for (key, value) in entry.table(EXAMPLE)? {
        let name = key.get_ref().as_ref();
        let site_name = checks::site_name(entry, name, key.span());
        let child = entry.child(name, value);
        let site = child
            .reader("site.NAME", EXAMPLE)
            .and_then(|reader| site(name, reader, surroundings));
        match (site_name, site) {
            (Ok(name), Ok(site)) => {
                sites.insert(name, site);
            }
            (Err(reported), _) | (_, Err(reported)) => result = Err(reported),
        }
    }
    result.map(|()| sites)
}

fn site<'d>(name: &str, mut reader: Reader<'d>, surroundings: &Surroundings<'d>) -> Checked<Site> {
    let remember = |domain: &DomainName, entry: &Entry<'d>| {
        let mut names = surroundings.names.borrow_mut();
        names.push((domain.clone(), shown(name), entry.clone()));
    };
    let requested = reader.take("certificate").is_none();
    let certificate = certificate(&mut reader, surroundings);
    let domain = reader.required("domain", "\"www.example.com\"", |entry| {
        let domain = checks::domain(entry)?;
        remember(&domain, entry);
        let mut domains = surroundings.domains.borrow_mut();
        domains.push((entry.span().start, domain.clone()));
        let octets = domain.as_str().len();
        if requested && octets > MAX_COMMON_NAME_OCTETS {
            return Err(entry.invalid(
                format!(
                    "the first name of a certificate has at most {MAX_COMMON_NAME_OCTETS} octets, this one has {octets}"
                ),
                "put a shorter name first, as `domain`, and this one into `aliases`",
            ));
        }
        Ok(domain)
    });
    let aliases = reader.or("aliases", BTreeSet::new(), |entry| {
        let list = entry.list("\"example.com\"")?;
        let count = list.len() + 1;
        let few = if requested && count > defaults::MAX_CERTIFICATE_NAMES {
            Err(entry.invalid(
                format!(
                    "a certificate carries at most {} names, these are {count} with the domain",
                    defaults::MAX_CERTIFICATE_NAMES
                ),
                "cover several by one wildcard such as `*.example.com`, or name an existing `certificate`",
            ))
        } else {
            Ok(())
        };
        let aliases: Vec<Checked<DomainName>> = list
            .iter()
            .map(|entry| {
                let alias = checks::domain(entry)?;
                remember(&alias, entry);
                Ok(alias)
            })
            .collect();
        few?;
        aliases.into_iter().collect()
    });
    let instances = instances(&mut reader);
    let zone = reader.optional("zone", |entry| {
        entry.parsed(
            "\"Z0123456789ABCDEFGHIJ\"",
            "the id stands in Route 53's list of hosted zones",
        )
    });
    let ports = ports(&mut reader, surroundings);
    let backend_protocol = reader
        .table("backend", "backend = { protocol = \"HTTPS\" }")
        .and_then(|mut backend| {
            let protocol = backend.or("protocol", Protocol::Https, |entry| entry.choice(&PROTOCOLS));
            backend.finish();
            protocol
        });
    let health = health(&mut reader, backend_protocol);
    let deregistration_delay = reader.optional("deregistration_delay", |entry| {
        entry.seconds(0..=defaults::MAX_DEREGISTRATION_DELAY)
    });
    let stickiness = reader.optional("stickiness", |entry| entry.seconds(0..=defaults::MAX_STICKINESS));
    let slow_start = reader.optional("slow_start", slow_start);
    reader.finish();
    let (listen_port, backend_port) = ports?;
    Ok(Site {
        domain: domain?,
        aliases: aliases?,
        instances: instances?,
        zone: zone?,
        listen_port,
        backend_port,
        backend_protocol: backend_protocol?,
        health: health?,
        certificate: certificate?,
        deregistration_delay: deregistration_delay?,
        stickiness: stickiness?,
        slow_start: slow_start?,
    })
}

fn certificate<'d>(reader: &mut Reader<'d>, surroundings: &Surroundings<'d>) -> Checked<CertificateSource> {
    let algorithm = reader.take("key_algorithm");
    let existing = reader.take("certificate");
    let key_algorithm = algorithm
        .as_ref()
        .map_or(Ok(KeyAlgorithm::Rsa2048), |entry| entry.choice(&KEY_ALGORITHMS));
    let Some(existing) = existing else {
        return Ok(CertificateSource::Requested {
            key_algorithm: key_algorithm?,
        });
    };
    let arn = existing.parsed::<CertificateArn>(
        "\"arn:aws:acm:ap-northeast-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef\"",
        "copy the ARN from ACM, or leave `certificate` out to have one requested",
    );
    let alone = match &algorithm {
        None => Ok(()),
        Some(algorithm) => Err(algorithm.conflict(
            "`key_algorithm` is for a certificate that is requested, but `certificate` names one that exists",
            "remove `key_algorithm` to use that certificate, or `certificate` to have one requested",
            (existing.span(), "the existing certificate"),
        )),
    };
    let arn = arn?;
    if let Some((region, span)) = &surroundings.region
        && arn.region() != region.as_str()
    {
        return Err(existing.conflict(
            format!(
                "the certificate lies in `{}`, the load balancer in `{region}`",
                arn.region()
            ),
            "a load balancer uses certificates of its own region only: name one from there, or leave `certificate` \
             out to have one requested",
            (span.clone(), "the region"),
        ));
    }
    alone.and(key_algorithm)?;
    Ok(CertificateSource::Existing(arn))
}

fn instances(reader: &mut Reader<'_>) -> Checked<BTreeSet<InstanceId>> {
    const HINT: &str = "the id stands in EC2's list of instances";
    let one = reader.take("instance");
    let several = reader.take("instances");
    let read_one = |entry: &Entry<'_>| entry.parsed::<InstanceId>(INSTANCE, HINT);
    match (one, several) {
        (None, None) => Err(reader.missing(
            "`instance`",
            &format!("add `instance = {INSTANCE}`, or `instances = [...]` for more than one"),
        )),
        (Some(one), None) => read_one(&one).map(|instance| BTreeSet::from([instance])),
        (one, Some(several)) => {
            let both = one.map_or(Ok(()), |one| {
                let _ = read_one(&one);
                Err(several.conflict(
                    "`instances` stands beside `instance`",
                    "keep one of the two: `instance` for one, `instances` for more",
                    (one.span(), "and here"),
                ))
            });
            let instances = several.list(INSTANCE).and_then(|list| {
                not_empty(&several, &list, "name at least one instance")?;
                distinct(&list, read_one)
            });
            both.and(instances)
        }
    }
}

fn ports<'d>(reader: &mut Reader<'d>, surroundings: &Surroundings<'d>) -> Checked<(u16, u16)> {
    let mut ports = reader.table("ports", "ports = { listen = 443, backend = 443 }")?;
    let listen = ports.optional("listen", |entry| {
        let port = entry.integer(1..=u16::MAX)?;
        surroundings.listen_ports.borrow_mut().push((port, entry.clone()));
        Ok(port)
    });
    if let Ok(None) = listen {
        surroundings.default_port.set(true);
    }
    let backend = ports.or("backend", defaults::BACKEND_PORT, |entry| entry.integer(1..=u16::MAX));
    ports.finish();
    Ok((listen?.unwrap_or(defaults::LISTEN_PORT), backend?))
}

fn health(reader: &mut Reader<'_>, backend_protocol: Checked<Protocol>) -> Checked<Health> {
    /// Passed or failed checks in a row (`aws-facts.md` 2.3).
    const THRESHOLD: std::ops::RangeInclusive<u8> = 2..=10;
    let mut health = reader.table("health", "health = { path = \"/\" }")?;
    let protocol = health.optional("protocol", |entry| entry.choice(&PROTOCOLS));
    let port = health.optional("port", |entry| match entry.as_text() {
        Some("traffic-port") => Ok(None),
        Some(text) if text.parse::<u16>().is_err() => Err(entry.invalid(
            format!(
                "`port` has to be a number or `\"traffic-port\"`, found `\"{}\"`",
                shown(text)
            ),
            "write a number such as `8080`, or leave `port` out to check the port that visitors are sent to",
        )),
        _ => entry.integer(1..=u16::MAX).map(Some),
    });
    let path = health.or("path", defaults::HEALTH_PATH.to_owned(), checks::health_path);
    let codes = health.or("codes", defaults::HEALTH_CODES.to_owned(), checks::health_codes);
    let interval_entry = health.take("interval");
    let timeout_entry = health.take("timeout");
    let interval = interval_entry
        .as_ref()
        .map_or(Ok(defaults::HEALTH_INTERVAL), |entry| entry.seconds(5..=300));
    let timeout = timeout_entry
        .as_ref()
        .map_or(Ok(defaults::HEALTH_TIMEOUT), |entry| entry.seconds(2..=120));
    let fits = match (interval, timeout) {
        (Ok(interval), Ok(timeout)) if timeout >= interval => match (&interval_entry, &timeout_entry) {
            (Some(interval_entry), Some(entry)) => Err(entry.conflict(
                format!("the timeout of {timeout} has to be shorter than the interval of {interval}"),
                "shorten `timeout` or lengthen `interval`",
                (interval_entry.span(), "the interval"),
            )),
            (None, Some(entry)) => Err(entry.invalid(
                format!("the timeout of {timeout} has to be shorter than the interval, which is {interval} by default"),
                "shorten `timeout`, or set a longer `interval`",
            )),
            (Some(entry), None) => Err(entry.invalid(
                format!("the interval of {interval} has to be longer than the timeout, which is {timeout} by default"),
                "set a shorter `timeout`, or lengthen `interval`",
            )),
            (None, None) => Ok(()),
        },
        _ => Ok(()),
    };
    let healthy = health.or("healthy", defaults::HEALTHY_THRESHOLD, |entry| entry.integer(THRESHOLD));
    let unhealthy = health.or("unhealthy", defaults::UNHEALTHY_THRESHOLD, |entry| {
        entry.integer(THRESHOLD)
    });
    health.finish();
    fits?;
    Ok(Health {
        protocol: match protocol? {
            Some(protocol) => protocol,
            None => backend_protocol?,
        },
        port: port?.flatten(),
        path: path?,
        codes: codes?,
        interval: interval?,
        timeout: timeout?,
        healthy: healthy?,
        unhealthy: unhealthy?,
    })
}

/// How long a new target's share grows: off, or within AWS's limits (`aws-facts.md` 2.5).
fn slow_start(entry: &Entry<'_>) -> Checked<Seconds> {
    let seconds = entry.seconds(0..=*defaults::SLOW_START.end())?;
    if seconds.get() > 0 && !defaults::SLOW_START.contains(&seconds.get()) {
        let (least, most) = (defaults::SLOW_START.start(), defaults::SLOW_START.end());
        return Err(entry.invalid(
            format!("`slow_start` has to be `0s`, or from {least}s to {most}s, found `{seconds}`"),
            format!("choose a duration from `{least}s` to `{most}s`, or `0s` to turn it off"),
        ));
    }
    Ok(seconds)
}

/// What `read` makes of each element, no two of which may be the same.
pub(super) fn distinct<'d, T: Ord + std::fmt::Display>(
    list: &[Entry<'d>],
    mut read: impl FnMut(&Entry<'d>) -> Checked<T>,
) -> Checked<BTreeSet<T>> {
    let mut seen: BTreeMap<T, &Entry<'d>> = BTreeMap::new();
    let mut result = Ok(());
    for entry in list {
        match read(entry) {
            Err(reported) => result = Err(reported),
            Ok(value) => match seen.get(&value) {
                Some(first) => {
                    let message = format!("`{value}` stands twice in the list");
                    result = Err(entry.conflict(message, "remove one of the two", (first.span(), "first here")));
                }
                None => {
                    seen.insert(value, entry);
                }
            },
        }
    }
    result.map(|()| seen.into_keys().collect())
}

/// Refuses a list without elements.
pub(super) fn not_empty(entry: &Entry<'_>, list: &[Entry<'_>], hint: &str) -> Checked<()> {
    if list.is_empty() {
        Err(entry.invalid("the list is empty", hint))
    } else {
        Ok(())
    }
}
