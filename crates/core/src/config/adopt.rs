//! Reads which objects of others the stack takes over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    Adoption, CertificateSource, Config, HttpMode, Site, SiteName, defaults,
    entry::Entry,
    reader::{Checked, closest, shown},
    site::Surroundings,
};
use crate::{
    resource::{Address, Kind},
    value::{Arn, DomainName, SecurityGroupId},
};

/// The kinds of objects that a stack can take over. All others are found by their content, or belong to one of these.
pub const ADOPTABLE: [Kind; 7] = [
    Kind::Certificate,
    Kind::SecurityGroup,
    Kind::TargetGroup,
    Kind::LoadBalancer,
    Kind::Listener,
    Kind::ListenerRule,
    Kind::AliasRecord,
];

/// The key of the one load balancer of a stack.
const LOAD_BALANCER_KEY: &str = "main";
/// The key of the one security group of a stack.
const SECURITY_GROUP_KEY: &str = "load_balancer";

const EXAMPLE: &str = "\"target_group.www = arn:aws:elasticloadbalancing:...:targetgroup/web/0123456789abcdef\"";
const FORMS: &str = "write the ARN of a load balancer, target group, listener, listener rule or certificate, the id of a \
                     security group (`sg-...`), or the name of a record, each with `ADDRESS = ` in front where several \
                     would fit, such as `target_group.www = arn:...`";

/// What sort of object an id tells that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// One of a kind that can be taken over.
    Adoptable(Kind),
    /// A Network or Gateway Load Balancer, or a listener of one.
    OtherLoadBalancer,
    /// Something else.
    Other,
}

/// What sort of object `id` is of, as far as it tells by itself.
pub fn kind_of_id(id: &str) -> IdKind {
    if id.parse::<SecurityGroupId>().is_ok() {
        return IdKind::Adoptable(Kind::SecurityGroup);
    }
    let Some(arn) = Arn::parse(id) else {
        return if id.parse::<DomainName>().is_ok() {
            IdKind::Adoptable(Kind::AliasRecord)
        } else {
            IdKind::Other
        };
    };
    match (arn.service, arn.path().as_slice()) {
        ("acm", ["certificate", _]) => IdKind::Adoptable(Kind::Certificate),
        ("elasticloadbalancing", ["targetgroup", _, _]) => IdKind::Adoptable(Kind::TargetGroup),
        ("elasticloadbalancing", ["loadbalancer", "app", _, _]) => IdKind::Adoptable(Kind::LoadBalancer),
        ("elasticloadbalancing", ["listener", "app", _, _, _]) => IdKind::Adoptable(Kind::Listener),
        ("elasticloadbalancing", ["listener-rule", "app", _, _, _, _]) => IdKind::Adoptable(Kind::ListenerRule),
        ("elasticloadbalancing", ["loadbalancer" | "listener" | "listener-rule", ..]) => IdKind::OtherLoadBalancer,
        _ => IdKind::Other,
    }
}

/// A kind with its article, for messages.
pub fn a_kind(kind: Kind) -> String {
    let name = kind.name().replace('_', " ");
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

impl Adoption {
    /// The kind of the object: that of its address, or the one that its id tells.
    pub fn kind(&self) -> Option<Kind> {
        match (&self.address, kind_of_id(&self.id)) {
            (Some(address), _) => Some(address.kind()),
            (None, IdKind::Adoptable(kind)) => Some(kind),
            (None, IdKind::OtherLoadBalancer | IdKind::Other) => None,
        }
    }
}

impl fmt::Display for Adoption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(formatter, "{address} = {}", self.id),
            None => formatter.write_str(&self.id),
        }
    }
}

/// What the rest of the file asks for, as far as addresses depend on it.
#[derive(Debug)]
pub(super) struct Stack<'c> {
    pub(super) sites: &'c BTreeMap<SiteName, Site>,
    pub(super) http: HttpMode,
}

impl Stack<'_> {
    /// The addresses of `kind`; `None` where the file alone does not tell.
    fn addresses(&self, kind: Kind) -> Option<Vec<Address>> {
        let of = |keys: Vec<String>| Some(keys.into_iter().map(|key| Address::new(kind, key)).collect());
        let requested = |site: &Site| matches!(site.certificate, CertificateSource::Requested { .. });
        match kind {
            Kind::LoadBalancer => of(vec![LOAD_BALANCER_KEY.to_owned()]),
            Kind::SecurityGroup => of(vec![SECURITY_GROUP_KEY.to_owned()]),
            Kind::TargetGroup => of(self.sites.keys().map(ToString::to_string).collect()),
            Kind::Certificate => of(self
                .sites
                .iter()
                .filter(|(_, site)| requested(site))
                .map(|(name, _)| name.to_string())
                .collect()),
            Kind::Listener => {
                let redirect = (self.http == HttpMode::Redirect).then_some(defaults::HTTP_PORT);
                let ports: BTreeSet<u16> = self
                    .sites
                    .values()
                    .map(|site| site.listen_port)
                    .chain(redirect)
                    .collect();
                of(ports.iter().map(ToString::to_string).collect())
            }
            Kind::AliasRecord => of(self
                .sites
                .values()
                .flat_map(Site::names)
                .map(ToString::to_string)
                .collect()),
            _ => None,
        }
    }
}

impl Config {
    /// The addresses of `kind` that the configuration asks for; `None` for kinds of which it alone does not tell.
    pub fn addresses(&self, kind: Kind) -> Option<Vec<Address>> {
        let stack = Stack {
            sites: &self.sites,
            http: self.load_balancer.http,
        };
        stack.addresses(kind)
    }
}

/// Reads `adopt`.
pub(super) fn adopt(
    entry: &Entry<'_>,
    surroundings: &Surroundings<'_>,
    stack: Option<&Stack<'_>>,
) -> Checked<BTreeSet<Adoption>> {
    let mut seen = BTreeSet::new();
    let mut by_id: BTreeMap<String, Entry<'_>> = BTreeMap::new();
    let mut by_address: BTreeMap<Address, Entry<'_>> = BTreeMap::new();
    let mut result = Ok(());
    for entry in entry.list(EXAMPLE)? {
        let adoption = match adoption(&entry, surroundings, stack) {
            Ok(adoption) => adoption,
            Err(reported) => {
                result = Err(reported);
                continue;
            }
        };
        let same_id = by_id.get(&adoption.id);
        let same_address = adoption.address.as_ref().and_then(|address| by_address.get(address));
        if let Some(first) = same_id {
            result = Err(entry.conflict(
                format!("`{}` stands twice in the list", shown(&adoption.id)),
                "remove one of the two",
                (first.span(), "first here"),
            ));
        } else if let (Some(first), Some(address)) = (same_address, &adoption.address) {
            result = Err(entry.conflict(
                format!("`{address}` has another object in the list already"),
                "one address holds one object: remove one of the two",
                (first.span(), "first here"),
            ));
        } else {
            by_id.insert(adoption.id.clone(), entry.clone());
            if let Some(address) = &adoption.address {
                by_address.insert(address.clone(), entry);
            }
            seen.insert(adoption);
        }
    }
    result.map(|()| seen)
}

fn adoption(entry: &Entry<'_>, surroundings: &Surroundings<'_>, stack: Option<&Stack<'_>>) -> Checked<Adoption> {
    let text = entry.filled(EXAMPLE)?.trim();
    let adoption = match text.split_once('=') {
        Some((address, id)) => addressed(entry, address.trim(), id.trim())?,
        None => alone(entry, text)?,
    };
    if let Some(arn) = Arn::parse(&adoption.id)
        && let Some((region, span)) = &surroundings.region
        && arn.region != region.as_str()
    {
        return Err(entry.conflict(
            format!("the object lies in `{}`, the stack in `{region}`", shown(arn.region)),
            "a stack lives in one region: remove the entry, or name an object from there",
            (span.clone(), "the region"),
        ));
    }
    if let (Some(address), Some(stack)) = (&adoption.address, stack)
        && let Some(known) = stack.addresses(address.kind())
        && !known.contains(address)
    {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        // A long list helps nobody.
        let known: Vec<&str> = known.iter().map(String::as_str).take(20).collect();
        let text = address.to_string();
        let hint = match (closest(&text, &known), known.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => format!(
                "the configuration asks for no {}",
                address.kind().name().replace('_', " ")
            ),
            (None, known) => format!("the configuration has `{}`", known.join("`, `")),
        };
        return Err(entry.invalid(
            format!("the configuration has no `{}` that could take it", shown(&text)),
            hint,
        ));
    }
    Ok(adoption)
}

/// `ADDRESS = ID`.
fn addressed(entry: &Entry<'_>, address: &str, id: &str) -> Checked<Adoption> {
    let address: Address = address
        .parse()
        .map_err(|_| entry.invalid(format!("`{}` is not the address of a resource", shown(address)), FORMS))?;
    let kind = address.kind();
    if !ADOPTABLE.contains(&kind) {
        return Err(not_adoptable(entry, kind));
    }
    match kind_of_id(id) {
        IdKind::Adoptable(Kind::AliasRecord) if kind == Kind::AliasRecord => {
            let adoption = record(entry, id)?;
            let at = record(entry, address.key())?;
            if adoption != at {
                return Err(entry.invalid(
                    format!("`{}` is not the record at `{}`", shown(&adoption.id), shown(&at.id)),
                    format!("write `\"{}\"` alone", shown(&at.id)),
                ));
            }
            Ok(adoption)
        }
        IdKind::Adoptable(of_id) if of_id == kind => Ok(Adoption {
            address: Some(address),
            id: id.to_owned(),
        }),
        IdKind::Adoptable(of_id) => Err(entry.invalid(
            format!("`{}` is {}, not {}", shown(id), a_kind(of_id), a_kind(kind)),
            FORMS,
        )),
        IdKind::OtherLoadBalancer => Err(other_load_balancer(entry)),
        IdKind::Other => Err(entry.invalid(format!("`{}` is not the id of {}", shown(id), a_kind(kind)), FORMS)),
    }
}

/// An id, or the address of a record, which is its id.
fn alone(entry: &Entry<'_>, text: &str) -> Checked<Adoption> {
    if let Ok(address) = text.parse::<Address>() {
        if address.kind() == Kind::AliasRecord {
            return record(entry, address.key());
        }
        // A name such as `target.example.com` looks like an address too; keys of addresses hold no dot where names do.
        if !address.key().contains('.') {
            return Err(if ADOPTABLE.contains(&address.kind()) {
                entry.invalid(
                    format!("`{}` says where to, but not what", shown(text)),
                    format!("write the object's id behind it: `\"{} = ID\"`", shown(text)),
                )
            } else {
                not_adoptable(entry, address.kind())
            });
        }
    }
    match kind_of_id(text) {
        IdKind::Adoptable(Kind::AliasRecord) => record(entry, text),
        IdKind::Adoptable(_) => Ok(Adoption {
            address: None,
            id: text.to_owned(),
        }),
        IdKind::OtherLoadBalancer => Err(other_load_balancer(entry)),
        IdKind::Other => Err(entry.invalid(format!("`{}` does not tell what it is", shown(text)), FORMS)),
    }
}

/// The records at a name.
fn record(entry: &Entry<'_>, name: &str) -> Checked<Adoption> {
    let name: DomainName = name.parse().map_err(|error: crate::value::DomainNameError| {
        entry.invalid(
            error.to_string(),
            "write the name of the record, such as `www.example.com`",
        )
    })?;
    Ok(Adoption {
        address: Some(Address::new(Kind::AliasRecord, name.as_str())),
        id: name.to_string(),
    })
}

fn not_adoptable(entry: &Entry<'_>, kind: Kind) -> super::reader::Reported {
    let kinds: Vec<&str> = ADOPTABLE.iter().map(|kind| kind.name()).collect();
    entry.invalid(
        format!("{} cannot be adopted: it is found by what it says", a_kind(kind)),
        format!("remove the entry; what can be adopted: `{}`", kinds.join("`, `")),
    )
}

fn other_load_balancer(entry: &Entry<'_>) -> super::reader::Reported {
    entry.invalid(
        "this is no Application Load Balancer, and cannot become one",
        "remove the entry: a new load balancer is made beside it",
    )
}
