//! The DNS server on loopback, over UDP and TCP.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::Shared;
use super::dns::{Answer, Answered};
use super::network::LoopbackNetwork;
use crate::Error;

const TCP_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_BUFFER: usize = 65_535;

/// Starts the server on a free port of `address`. It runs until dropped.
pub(super) fn start(
    shared: Arc<Shared>,
    address: Ipv4Addr,
) -> Result<(SocketAddrV4, impl Send + Sync + 'static), Error> {
    let (at, udp, tcp) = LoopbackNetwork::dns_sockets(address)?;
    let unusable = |source| Error::NothingFree {
        what: "port",
        source: Some(source),
    };
    let mut server = Server::new(Handler { shared });
    server.register_socket(tokio::net::UdpSocket::from_std(udp).map_err(unusable)?);
    let tcp = tokio::net::TcpListener::from_std(tcp).map_err(unusable)?;
    server.register_listener(tcp, TCP_TIMEOUT, TCP_BUFFER);
    Ok((at, server))
}

struct Handler {
    shared: Arc<Shared>,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut responder: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        // Clients use this server in a resolver's place.
        metadata.recursion_available = true;

        let mut answer = Answer::default();
        match request.request_info() {
            Ok(info)
                if request.metadata.message_type == MessageType::Query
                    && request.metadata.op_code == OpCode::Query
                    && info.query.query_class() == DNSClass::IN =>
            {
                let name = info.query.name().to_string();
                let kind = info.query.query_type().to_string();
                answer = self.shared.resolve(&name, &kind);
                if answer.no_such_name {
                    metadata.response_code = ResponseCode::NXDomain;
                }
            }
            _ => metadata.response_code = ResponseCode::Refused,
        }

        let answers: Vec<Record> = answer.records.iter().filter_map(record).collect();
        let authority: Vec<Record> = answer.authority.iter().filter_map(record).collect();
        let response =
            MessageResponseBuilder::from_message_request(request).build(metadata, &answers, &[], &authority, &[]);
        match responder.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a DNS answer was not sent");
                let mut metadata = Metadata::response_from_request(&request.metadata);
                metadata.response_code = ResponseCode::ServFail;
                hickory_proto::op::Header {
                    metadata,
                    counts: hickory_proto::op::HeaderCounts::default(),
                }
                .into()
            }
        }
    }
}

fn record(answered: &Answered) -> Option<Record> {
    let name = absolute(&answered.name)?;
    let data = data(&answered.kind, &answered.value)?;
    Some(Record::from_rdata(name, answered.ttl, data))
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Reads a value in the notation of zone files; none for types that nobody here asks for.
fn data(kind: &str, value: &str) -> Option<RData> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let number = |at: usize| -> Option<u32> { words.get(at)?.parse().ok() };
    let seconds = |at: usize| -> Option<i32> { words.get(at)?.parse().ok() };
    Some(match kind {
        "A" => RData::A(A(value.parse().ok()?)),
        "AAAA" => RData::AAAA(AAAA(value.parse().ok()?)),
        "CNAME" => RData::CNAME(CNAME(absolute(value)?)),
        "NS" => RData::NS(NS(absolute(value)?)),
        "TXT" => RData::TXT(TXT::new(quoted(value))),
        "MX" => {
            let preference = u16::try_from(number(0)?).ok()?;
            RData::MX(MX::new(preference, absolute(words.get(1)?)?))
        }
        "SOA" => RData::SOA(SOA::new(
            absolute(words.first()?)?,
            absolute(words.get(1)?)?,
            number(2)?,
            seconds(3)?,
            seconds(4)?,
            seconds(5)?,
            number(6)?,
        )),
        "CAA" => {
            let flags = u8::try_from(number(0)?).ok()?;
            let tag = words.get(1)?;
            let mut bytes = vec![flags, u8::try_from(tag.len()).ok()?];
            bytes.extend_from_slice(tag.as_bytes());
            bytes.extend_from_slice(quoted(value).pop()?.as_bytes());
            RData::Unknown {
                code: RecordType::CAA,
                rdata: NULL::with(bytes),
            }
        }
        _ => return None,
    })
}

/// The strings in quotes in a value, or the whole value when there are none.
fn quoted(value: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut open: Option<String> = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, &mut open) {
            ('"', None) => open = Some(String::new()),
            ('"', Some(_)) => strings.extend(open.take()),
            ('\\', Some(text)) => text.extend(characters.next()),
            (other, Some(text)) => text.push(other),
            (_, None) => {}
        }
    }
    if strings.is_empty() {
        strings.push(value.to_owned());
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_zone_files_write_them() {
        assert_eq!(quoted(r#""v=spf1 -all" "a \"b\"""#), ["v=spf1 -all", r#"a "b""#]);
        assert_eq!(quoted("bare"), ["bare"]);
        assert!(matches!(data("A", "127.1.2.3"), Some(RData::A(_))));
        assert!(matches!(data("MX", "10 mail.example.com."), Some(RData::MX(_))));
        assert!(matches!(
            data("CAA", r#"0 issue "amazon.com""#),
            Some(RData::Unknown { .. })
        ));
        let soa = "ns.example. host.example. 1 7200 900 1209600 86400";
        assert!(matches!(data("SOA", soa), Some(RData::SOA(_))));
        assert!(data("A", "not an address").is_none());
        assert!(data("LOC", "?").is_none());
    }
}
