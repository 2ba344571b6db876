//! Questions to DNS, each asked afresh: an answer kept from before a cutover would prove nothing.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::error::{DnsFailure, ProbeError};
use crate::options::DnsServer;

/// The record types that [`Network::records`](crate::Network::records) can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name this one is another name of.
    Cname,
    /// The zone's name servers.
    Ns,
    /// Who may issue certificates.
    Caa,
    /// Free text.
    Txt,
}

impl RecordKind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Cname => RecordType::CNAME,
            Self::Ns => RecordType::NS,
            Self::Caa => RecordType::CAA,
            Self::Txt => RecordType::TXT,
        }
    }
}

/// Who is asked, and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct Dns {
    pub(crate) server: Option<DnsServer>,
    pub(crate) timeout: Duration,
}

impl Dns {
    /// The same, asking this server.
    pub(crate) fn at(&self, server: DnsServer) -> Self {
        Self {
            server: Some(server),
            timeout: self.timeout,
        }
    }

    /// All addresses, IPv4 first, each family in the order the server gave.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ProbeError> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let (four, six) = tokio::join!(self.lookup(name, RecordType::A), self.lookup(name, RecordType::AAAA));
        let mut addresses = Vec::new();
        let mut failure = None;
        for answer in [four, six] {
            match answer {
                Ok(records) => addresses.extend(records.iter().filter_map(RData::ip_addr)),
                // The first failure is the one of A, which nearly every site has.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        Err(self.error(name, failure.unwrap_or(DnsFailure::NoAddress)))
    }

    /// The records of one kind; empty when the name exists without any.
    pub(crate) async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, ProbeError> {
        match self.lookup(name, kind.record_type()).await {
            Ok(records) => Ok(records.iter().map(presentation).collect()),
            Err(reason) => Err(self.error(name, reason)),
        }
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsFailure> {
        let mut fqdn = Name::from_utf8(name).map_err(|error| DnsFailure::InvalidName {
            message: error.to_string(),
        })?;
        // Search domains are for people at their desks; a site's name is always complete.
        fqdn.set_fqdn(true);
        let lookup = match self.resolver()?.lookup(fqdn, kind).await {
            Ok(lookup) => lookup,
            Err(error) => return failure(error),
        };
        // Aliases on the way stand in the answer too.
        let wanted = lookup.answers().iter().filter(|record| record.record_type() == kind);
        Ok(wanted.map(|record| record.data.clone()).collect())
    }

    /// A resolver of its own for each question, because the library's caches whatever it learns.
    fn resolver(&self) -> Result<TokioResolver, DnsFailure> {
        let (config, mut options, hosts) = if let Some(DnsServer(address)) = self.server {
            let mut udp = ConnectionConfig::udp();
            udp.port = address.port();
            let mut tcp = ConnectionConfig::tcp();
            tcp.port = address.port();
            let server = NameServerConfig::new(address.ip(), true, vec![udp, tcp]);
            let config = ResolverConfig::from_name_servers(vec![server]);
            // Who names a DNS server wants its answers and not those of the hosts file.
            (config, ResolverOpts::default(), ResolveHosts::Never)
        } else {
            let (config, options) =
                hickory_resolver::system_conf::read_system_conf().map_err(|error| DnsFailure::NoConfiguration {
                    message: error.to_string(),
                })?;
            (config, options, ResolveHosts::Auto)
        };
        options.timeout = self.timeout;
        options.attempts = 1;
        options.cache_size = 0;
        options.use_hosts_file = hosts;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.build().map_err(|error| DnsFailure::NoConfiguration {
            message: error.to_string(),
        })
    }

    fn error(&self, name: &str, reason: DnsFailure) -> ProbeError {
        let server = match self.server {
            Some(server) => format!("asked {server}"),
            None => "asked the system's resolver".to_owned(),
        };
        ProbeError::Dns {
            name: name.to_owned(),
            server,
            reason,
        }
    }
}

/// A name without records of the type asked for is an answer, everything else a failure.
fn failure(error: NetError) -> Result<Vec<RData>, DnsFailure> {
    let server_error = |code: ResponseCode| DnsFailure::ServerError { code: code.to_string() };
    Err(match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NoError => return Ok(Vec::new()),
            ResponseCode::NXDomain => DnsFailure::NoSuchName,
            code => server_error(code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => server_error(code),
        NetError::Timeout => DnsFailure::TimedOut,
        other => DnsFailure::Unreachable {
            message: other.to_string(),
        },
    })
}

/// Records as people write them: names in lower case without the final dot, texts without quotes.
fn presentation(data: &RData) -> String {
    let name = |name: &Name| {
        let text = name.to_lowercase().to_ascii();
        text.strip_suffix('.').unwrap_or(&text).to_owned()
    };
    match data {
        RData::CNAME(target) => name(&target.0),
        RData::NS(server) => name(&server.0),
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}
