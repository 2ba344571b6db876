//! The data plane under worlds that are told to it directly.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use http::Request;
use http_body_util::Full;
use reconcile_emulator::{
    CertificateIssuer, DataPlane, DataPlaneOptions, ForceHttps, ForeignHosts, Route, Visitor, VisitorOptions, WebServer,
};
use serde_json::{Value, json};
use support::{Connection, FakeControl, is_refused, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const BALANCER: &str = "web-1.ap-northeast-1.elb.amazonaws.com";

struct Stage {
    fake: FakeControl,
    plane: DataPlane,
}

impl Stage {
    async fn start() -> Self {
        let fake = FakeControl::start().await;
        let options = DataPlaneOptions::default();
        let plane = DataPlane::start(&fake.control, options).await.unwrap();
        Self { fake, plane }
    }

    async fn tell(&self, world: Value) {
        self.fake.tell(world);
        self.plane.settled().await.unwrap();
    }

    /// A site on `i-1` behind a load balancer, everything open and well.
    fn world(&self) -> Value {
        let open = |port: u16| json!({ "protocol": "tcp", "from": port, "to": port, "cidr": "0.0.0.0/0" });
        let anything = json!({ "protocol": "-1", "cidr": "0.0.0.0/0" });
        json!({
            "zones": [{ "id": "Z1", "name": "example.com.", "records": [
                { "name": "www.example.com.", "type": "A", "values": [],
                  "alias": { "name": BALANCER, "zone_id": "Z" } },
                { "name": "old.example.com.", "type": "A", "ttl": 300,
                  "values": [self.plane.address(10)] },
                { "name": "example.com.", "type": "TXT", "ttl": 300, "values": ["\"hello\""] },
            ] }],
            "certificates": [
                { "arn": "www", "status": "ISSUED", "names": ["www.example.com"] },
                { "arn": "all", "status": "ISSUED", "names": ["*.example.org"] },
                { "arn": "pending", "status": "PENDING_VALIDATION", "names": ["new.example.com"] },
            ],
            "load_balancers": [{
                "arn": "lb", "dns_name": BALANCER, "state": "active", "scheme": "internet-facing",
                "security_groups": ["sg-lb"], "listeners": [
                    { "port": 443, "protocol": "HTTPS", "certificates": ["www", "all", "pending"],
                      "default_actions": [{ "type": "forward", "target_groups": [{ "arn": "tg" }] }],
                      "rules": [{ "priority": 1, "conditions": [
                          { "field": "path-pattern", "values": ["/teapot*"] }],
                          "actions": [{ "type": "fixed-response", "status": "418",
                                        "content_type": "text/plain", "body": "short" }] }] },
                    { "port": 80, "protocol": "HTTP", "default_actions": [
                        { "type": "redirect", "protocol": "HTTPS", "port": "443", "host": "#{host}",
                          "path": "/#{path}", "query": "#{query}", "status": "HTTP_301" }] },
                ],
            }],
            "target_groups": [{ "arn": "tg", "protocol": "HTTPS", "port": 443,
                                "targets": [{ "id": "i-1", "port": 443, "state": "healthy" }] }],
            "instances": [{ "id": "i-1", "state": "running", "public_address": self.plane.address(10),
                            "private_address": "10.0.0.5", "security_groups": ["sg-i"] }],
            "security_groups": [
                { "id": "sg-lb", "ingress": [open(443), open(80)], "egress": [anything] },
                { "id": "sg-i", "ingress": [open(443), open(80)], "egress": [anything] },
            ],
        })
    }

    fn port(&self, port: u16) -> u16 {
        self.plane.real_port(port).unwrap()
    }

    fn direct(&self, port: u16) -> (Ipv4Addr, u16) {
        (self.plane.address(10), self.port(port))
    }

    async fn balancer(&self, port: u16) -> (Ipv4Addr, u16) {
        let (_, addresses) = self.ask(BALANCER, RecordType::A).await;
        match addresses[0] {
            RData::A(address) => (address.0, self.port(port)),
            ref other => panic!("{other}"),
        }
    }

    async fn visit(&self, name: &str) -> Connection {
        let to = self.balancer(443).await;
        let amazon = read(self.plane.ca_file());
        Connection::tls(to, name, &amazon).await.unwrap()
    }

    async fn ask(&self, name: &str, kind: RecordType) -> (ResponseCode, Vec<RData>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket
            .send_to(&question(name, kind), self.plane.dns_server())
            .await
            .unwrap();
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer).await.unwrap();
        parse(&answer[..length])
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    let name = Name::from_ascii(format!("{name}.")).unwrap();
    message.add_query(Query::query(name, kind));
    message.to_vec().unwrap()
}

fn parse(answer: &[u8]) -> (ResponseCode, Vec<RData>) {
    let message = Message::from_vec(answer).unwrap();
    let data = message.answers.into_iter().map(|record| record.data);
    (message.metadata.response_code, data.collect())
}

#[tokio::test]
async fn dns_answers_over_udp_and_tcp() {
    let stage = Stage::start().await;
    stage.tell(stage.world()).await;
    let (code, records) = stage.ask("old.example.com", RecordType::A).await;
    assert_eq!(code, ResponseCode::NoError);
    assert_eq!(records, [RData::A(stage.plane.address(10).into())]);
    let (_, by_alias) = stage.ask("WWW.example.com", RecordType::A).await;
    let (_, by_own_name) = stage.ask(BALANCER, RecordType::A).await;
    assert_eq!(by_alias, by_own_name);
    assert_eq!(by_alias.len(), 2);
    let missing = stage.ask("nothing.example.com", RecordType::A).await;
    assert_eq!(missing, (ResponseCode::NXDomain, Vec::new()));

    let mut stream = TcpStream::connect(stage.plane.dns_server()).await.unwrap();
    let question = question("example.com", RecordType::TXT);
    let length = u16::try_from(question.len()).unwrap();
    stream.write_u16(length).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).1[0].to_string(), "hello");
}

#[tokio::test]
async fn a_load_balancer_shows_amazons_certificates_by_name() {
    let stage = Stage::start().await;
    stage.tell(stage.world()).await;
    let www = stage.visit("www.example.com").await;
    assert_eq!(www.chain.len(), 2);
    let other = stage.visit("shop.example.org").await;
    assert_ne!(www.chain[0], other.chain[0]);
    assert_eq!(www.chain[1], other.chain[1]);
    assert_eq!(stage.visit("www.example.com").await.chain, www.chain);

    let to = stage.balancer(443).await;
    let amazon = read(stage.plane.ca_file());
    let pending = Connection::tls(to, "new.example.com", &amazon).await;
    assert!(pending.err().unwrap().contains("not valid for name"));
}

#[tokio::test]
async fn a_load_balancer_obeys_its_rules() {
    let stage = Stage::start().await;
    stage.tell(stage.world()).await;
    let mut visitor = stage.visit("www.example.com").await;

    let request = Request::get("/")
        .header("host", "www.example.com")
        .header("x-forwarded-for", "203.0.113.7")
        .body(Full::default())
        .unwrap();
    let page = visitor.send(request).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.body,
        "Hello from i-1, you came by https, host www.example.com, via the load balancer\n"
    );
    assert_eq!(page.header("x-reached"), "load-balancer");

    let teapot = visitor.get("www.example.com", "/teapot/1").await;
    assert_eq!((teapot.status, teapot.body.as_str()), (418, "short"));
    assert_eq!(teapot.header("server"), "awselb/2.0");

    let mut plain = Connection::plain(stage.balancer(80).await).await;
    let moved = plain.get("www.example.com", "/a?b").await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.header("location"), "https://www.example.com:443/a?b");
}

#[tokio::test]
async fn a_load_balancer_says_what_is_wrong_behind_it() {
    let stage = Stage::start().await;
    let well = stage.world();
    stage.tell(well.clone()).await;
    // One connection for all of it: changes of the world must not break it.
    let mut visitor = stage.visit("www.example.com").await;
    let cases: [(&str, Value, u16); 7] = [
        ("/target_groups/0/targets", json!([]), 503),
        ("/target_groups/0/targets/0/state", json!("draining"), 503),
        ("/target_groups/0/targets/0/state", json!("unhealthy"), 200),
        ("/target_groups/0/targets/0/port", json!(8443), 504),
        ("/target_groups/0/protocol", json!("HTTP"), 502),
        ("/security_groups/0/egress", json!([]), 504),
        ("/security_groups/1/ingress", json!([]), 504),
    ];
    for (path, value, status) in cases {
        let mut world = well.clone();
        *world.pointer_mut(path).unwrap() = value.clone();
        stage.tell(world).await;
        let answer = visitor.get("www.example.com", "/").await;
        assert_eq!(answer.status, status, "{path} {value}");
    }
    stage.tell(well).await;
    stage
        .plane
        .serve("i-1", WebServer::for_site("x").https_ports(&[8443]))
        .await
        .unwrap();
    assert_eq!(visitor.get("www.example.com", "/").await.status, 502);
}

#[tokio::test]
async fn a_load_balancer_looks_at_headers_and_changes_them() {
    let stage = Stage::start().await;
    let mut world = stage.world();
    let listener = &mut world["load_balancers"][0]["listeners"][0];
    listener["rules"][0]["conditions"] =
        json!([{ "field": "http-header", "header": "X-Probe", "values": ["s3cret*"] }]);
    listener["attributes"] = json!({
        "routing.http.response.strict_transport_security.header_value": "max-age=60",
        "routing.http.response.x_frame_options.header_value": "",
        "routing.http.response.server.enabled": "false",
    });
    stage.tell(world).await;
    let mut visitor = stage.visit("www.example.com").await;
    let page = visitor.get("www.example.com", "/").await;
    assert_eq!((page.status, page.header("x-served-by")), (200, "i-1"));
    let probe = Request::get("/").header("host", "www.example.com");
    let probe = probe.header("x-probe", "S3CRET-1").body(Full::default()).unwrap();
    let teapot = visitor.send(probe).await;
    assert_eq!(teapot.status, 418);
    for answer in [page, teapot] {
        assert_eq!(answer.header("strict-transport-security"), "max-age=60");
        assert_eq!((answer.header("x-frame-options"), answer.header("server")), ("", ""));
    }
    let mut plain = Connection::plain(stage.balancer(80).await).await;
    let moved = plain.get("www.example.com", "/").await;
    assert_eq!(
        moved.header("strict-transport-security"),
        "",
        "attributes are a listener's own"
    );
    assert_eq!(moved.header("server"), "awselb/2.0");
}

#[tokio::test]
async fn a_blocking_web_acl_shows_that_it_is_there() {
    let stage = Stage::start().await;
    let mut world = stage.world();
    world["load_balancers"][0]["web_acl"] = json!("a-lenient-one");
    stage.tell(world.clone()).await;
    let mut visitor = stage.visit("www.example.com").await;
    assert_eq!(visitor.get("www.example.com", "/").await.status, 200);
    world["load_balancers"][0]["web_acl"] = json!("block-all-of-it");
    stage.tell(world).await;
    assert_eq!(visitor.get("www.example.com", "/").await.status, 403);
}

#[tokio::test]
async fn load_balancers_stand_side_by_side_until_they_are_deleted() {
    let stage = Stage::start().await;
    let mut world = stage.world();
    let alone = world.clone();
    let mut second = world["load_balancers"][0].clone();
    second["arn"] = json!("lb-2");
    second["dns_name"] = json!("web-2.ap-northeast-1.elb.amazonaws.com");
    world["load_balancers"].as_array_mut().unwrap().push(second);
    stage.tell(world).await;
    let first = stage.balancer(443).await;
    let (_, addresses) = stage.ask("web-2.ap-northeast-1.elb.amazonaws.com", RecordType::A).await;
    let RData::A(address) = addresses[0] else {
        panic!("{addresses:?}")
    };
    let second = (address.0, stage.port(443));
    let amazon = read(stage.plane.ca_file());
    for to in [first, second] {
        let mut visitor = Connection::tls(to, "www.example.com", &amazon).await.unwrap();
        assert_eq!(visitor.get("www.example.com", "/").await.status, 200);
    }
    stage.tell(alone).await;
    let gone = stage.ask("web-2.ap-northeast-1.elb.amazonaws.com", RecordType::A).await;
    assert_eq!(gone.0, ResponseCode::NXDomain);
    assert!(is_refused(second).await && !is_refused(first).await);
}

#[tokio::test]
async fn a_dualstack_load_balancer_answers_by_ipv6() {
    let stage = Stage::start().await;
    let mut world = stage.world();
    world["load_balancers"][0]["ip_address_type"] = json!("dualstack");
    world["zones"][0]["records"][0]["type"] = json!("AAAA");
    stage.tell(world).await;
    let (_, addresses) = stage.ask("www.example.com", RecordType::AAAA).await;
    let RData::AAAA(address) = addresses[0] else {
        panic!("{addresses:?}")
    };
    let by_ipv6 = TcpStream::connect((address.0, stage.port(443))).await;
    // A machine without IPv6 cannot even try.
    let has_ipv6 = std::net::UdpSocket::bind("[::]:0").is_ok();
    assert_eq!(by_ipv6.is_ok(), has_ipv6);
}

#[tokio::test]
async fn a_served_certificate_agrees_with_what_acm_tells() {
    let stage = Stage::start().await;
    let mut world = stage.world();
    world["certificates"][0]["serial"] = json!("00c0ffee");
    stage.tell(world.clone()).await;
    let served = stage.visit("www.example.com").await.chain;
    let bytes = served[0].as_ref();
    assert!(bytes.windows(4).any(|four| four == [0, 0xc0, 0xff, 0xee]));
    world["certificates"][0]["not_before"] = json!(1_700_000_000);
    world["certificates"][0]["not_after"] = json!(1_700_000_001);
    stage.tell(world).await;
    let amazon = read(stage.plane.ca_file());
    let expired = Connection::tls(stage.balancer(443).await, "www.example.com", &amazon).await;
    assert!(expired.err().unwrap().contains("expired"));
}

#[tokio::test]
async fn foreign_names_and_wrong_sites_are_noticed() {
    let stage = Stage::start().await;
    stage.tell(stage.world()).await;
    let site = WebServer::for_site("www.example.com").foreign_hosts(ForeignHosts::Refuse);
    stage.plane.serve("i-1", site).await.unwrap();
    let mut visitor = stage.visit("www.example.com").await;
    let mut statuses = Vec::new();
    for host in ["www.example.com", "10.0.0.5:443", "shop.example.org"] {
        statuses.push(visitor.get(host, "/").await.status);
    }
    assert_eq!(statuses, [200, 200, 421]);

    // Routing that leads to another site's instance is a failure, even if that instance answers well.
    let seen = |site: WebServer| async {
        stage.plane.serve("i-1", site).await.unwrap();
        let visitor = Visitor::start(&stage.plane, VisitorOptions::of("www.example.com")).unwrap();
        let some = visitor.wait_until(Duration::from_secs(10), |it| it.answered + it.failed > 1);
        some.await.unwrap();
        visitor.stop().await
    };
    let right = seen(WebServer::for_site("example.com").alias("www.example.com")).await;
    assert_eq!((right.failed, right.instances["i-1"]), (0, right.answered), "{right}");
    let wrong = seen(WebServer::for_site("shop.example.org")).await;
    assert_eq!(wrong.answered, 0, "{wrong}");
    assert!(wrong.failures[0].reason.contains("i-1"), "{wrong}");
}

#[tokio::test]
async fn sockets_are_open_while_groups_and_states_allow() {
    let stage = Stage::start().await;
    let well = stage.world();
    stage.tell(well.clone()).await;
    let (balancer, direct) = (stage.balancer(443).await, stage.direct(443));
    let cases = [
        ("/load_balancers/0/state", json!("provisioning"), true, false),
        ("/load_balancers/0/listeners", json!([]), true, false),
        (
            "/security_groups/0/ingress/0/cidr",
            json!("203.0.113.0/24"),
            true,
            false,
        ),
        ("/security_groups/1/ingress", json!([]), false, true),
        ("/instances/0/state", json!("stopped"), false, true),
    ];
    for (path, value, direct_open, balancer_open) in cases {
        stage.tell(well.clone()).await;
        assert!(!is_refused(balancer).await && !is_refused(direct).await);
        let mut world = well.clone();
        *world.pointer_mut(path).unwrap() = value;
        stage.tell(world).await;
        assert_eq!(!is_refused(direct).await, direct_open, "{path}");
        assert_eq!(!is_refused(balancer).await, balancer_open, "{path}");
    }
}

#[tokio::test]
async fn an_instance_behaves_as_it_is_told() {
    let stage = Stage::start().await;
    stage.tell(stage.world()).await;
    let serve = |server: WebServer| stage.plane.serve("i-1", server);
    let site = WebServer::for_site("www.example.com");
    let slow = Route::at("/slow")
        .status(503)
        .body("later")
        .header("retry-after", "9")
        .delay(Duration::from_millis(50));
    serve(site.clone().route(slow)).await.unwrap();

    let own = stage.plane.instance_certificate("i-1").unwrap();
    let direct = stage.direct(443);
    let mut visitor = Connection::tls(direct, "www.example.com", &own).await.unwrap();
    let page = visitor.get("www.example.com:443", "/").await;
    assert_eq!(
        page.body,
        "Hello from i-1, you came by https, host www.example.com, directly\n"
    );
    let slow = visitor.get("www.example.com", "/slow").await;
    assert_eq!((slow.status, slow.header("retry-after")), (503, "9"));

    serve(site.clone().force_https(ForceHttps::UnlessForwarded))
        .await
        .unwrap();
    assert_eq!(stage.plane.instance_certificate("i-1").unwrap(), own);
    let mut plain = Connection::plain(stage.direct(80)).await;
    let moved = plain.get("www.example.com", "/a").await;
    assert_eq!(moved.header("location"), "https://www.example.com/a");
    let forwarded = Request::get("/a").header("x-forwarded-proto", "https");
    assert_eq!(plain.send(forwarded.body(Full::default()).unwrap()).await.status, 200);

    let signed = site.clone().certificate_from(CertificateIssuer::LetsEncrypt);
    serve(signed).await.unwrap();
    let root = read(stage.plane.lets_encrypt_ca_file());
    assert!(Connection::tls(direct, "www.example.com", &root).await.is_ok());
    assert!(Connection::tls(direct, "www.example.com", &own).await.is_err());

    serve(site.clone().with_expired_certificate()).await.unwrap();
    let expired = stage.plane.instance_certificate("i-1").unwrap();
    let refused = Connection::tls(direct, "www.example.com", &expired).await;
    assert!(refused.err().unwrap().contains("expired"));

    serve(site.https_ports(&[]).http_ports(&[80])).await.unwrap();
    assert!(is_refused(direct).await);
}

#[tokio::test]
async fn two_data_planes_do_not_meet() {
    let (first, second) = (Stage::start().await, Stage::start().await);
    first.tell(first.world()).await;
    second.tell(second.world()).await;
    assert_ne!(first.plane.address(10), second.plane.address(10));
    let amazon = read(first.plane.ca_file());
    let elsewhere = second.balancer(443).await;
    assert!(Connection::tls(elsewhere, "www.example.com", &amazon).await.is_err());
    drop(second);
    assert_eq!(
        first
            .visit("www.example.com")
            .await
            .get("www.example.com", "/")
            .await
            .status,
        200
    );
}
