//! The kinds of listeners against the emulator: made, read, found, changed, observed and deleted by calls, and looked at
//! through another client.
//!
//! The SDK takes its endpoint from the environment, which a process may set for its children only: the test starts the
//! emulator and runs itself again as a child of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use reconcile_aws::{Aws, Options};
use reconcile_core::{
    config::{IpAddressType, KeyAlgorithm, Protocol, Scheme},
    naming::{RESOURCE_TAG, STACK_TAG},
    observed::{Actual, Details, Query},
    resource::{
        Address, Certificate, DefaultAction, HealthCheck, Kind, Listener, ListenerCertificate, ListenerRule,
        LoadBalancer, Ref, Spec, Tags, TargetGroup, WebAclAssociation,
    },
    value::{DomainName, Seconds},
};
use reconcile_emulator::{Emulator, Seed};
use reconcile_engine::{Cloud, ErrorKind};
use serde_json::{Value, json};

/// Tells the child what is there; its presence tells that it is the child.
const WORLD: &str = "RECONCILE_TEST_WORLD";
const HSTS: &str = "routing.http.response.strict_transport_security.header_value";
const DELAY: &str = "deregistration_delay.timeout_seconds";

/// Three certificates that are issued, and a web ACL.
const MORE: &str = r"
from datetime import datetime, timedelta, timezone
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

def imported(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90)).sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return client('acm').import_certificate(Certificate=certificate.public_bytes(pem), PrivateKey=private)['CertificateArn']

def web_acl(name):
    visibility = {'SampledRequestsEnabled': False, 'CloudWatchMetricsEnabled': False, 'MetricName': name}
    made = client('wafv2').create_web_acl(Name=name, Scope='REGIONAL', DefaultAction={'Allow': {}}, VisibilityConfig=visibility)
    return made['Summary']['ARN']

show({
    'certificates': [imported(name + '.example.com') for name in ('a', 'b', 'c')],
    'web_acls': [web_acl('first'), web_acl('second')],
})
";

/// What AWS holds of a load balancer, through boto3.
const LOOK: &str = r"
elb = client('elbv2')
found = {}
for listener in elb.describe_listeners(LoadBalancerArn=given)['Listeners']:
    arn = listener['ListenerArn']
    certificates = elb.describe_listener_certificates(ListenerArn=arn)['Certificates']
    found[listener['Port']] = {
        'rules': [[rule['Priority'], rule['Conditions'][0]['HostHeaderConfig']['Values']]
            for rule in elb.describe_rules(ListenerArn=arn)['Rules'] if not rule['IsDefault']],
        'certificates': sorted(entry['CertificateArn'] for entry in certificates if not entry['IsDefault']),
    }
show(found)
";

#[tokio::test]
async fn the_kinds_of_listeners_live_their_lives() {
    if let Ok(world) = std::env::var(WORLD) {
        return Life::begin(&serde_json::from_str(&world).unwrap()).await.run().await;
    }
    let emulator = Emulator::start(reconcile_emulator::Options::default()).await.unwrap();
    let seeded = reconcile_emulator::seed(&emulator, None, &Seed::default())
        .await
        .unwrap();
    let mut world = emulator.boto3(MORE).await.unwrap();
    world["vpc"] = json!(seeded.vpc);
    world["group"] = json!(seeded.security_group);
    world["subnets"] = seeded.public_subnets.iter().map(|subnet| json!(subnet.id)).collect();

    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "the_kinds_of_listeners_live_their_lives",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(WORLD, world.to_string());
    emulator.configure(&mut child);
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{}", emulator.log());

    let balancers = "show(client('elbv2').describe_load_balancers()['LoadBalancers'][0]['LoadBalancerArn'])";
    let balancer = emulator.boto3(balancers).await.unwrap();
    let seen = emulator.boto3_with(LOOK, &balancer).await.unwrap();
    // What the child left: the second certificate, and one rule where it was moved to.
    let expected = json!({
        "443": { "rules": [["5", ["c.example.com"]]], "certificates": [world["certificates"][1]] },
        "80": { "rules": [], "certificates": [] },
    });
    assert_eq!(seen, expected);
}

/// The life of a load balancer's parts, in the child.
struct Life {
    aws: Aws,
    world: Value,
    group: String,
    balancer: String,
    https: String,
}

fn tags(resource: &str) -> Tags {
    Tags::from([
        (STACK_TAG.to_owned(), "www".to_owned()),
        (RESOURCE_TAG.to_owned(), resource.to_owned()),
    ])
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Life {
    async fn begin(world: &Value) -> Self {
        let aws = Aws::connect(Options::default()).await.unwrap();
        let mut life = Self {
            aws,
            world: world.clone(),
            group: String::new(),
            balancer: String::new(),
            https: String::new(),
        };
        life.group = life
            .make(Kind::TargetGroup, &Spec::TargetGroup(life.target_group()))
            .await;
        life.balancer = life.make(Kind::LoadBalancer, &life.load_balancer()).await;
        life.https = life.make(Kind::Listener, &Spec::Listener(life.listener())).await;
        life
    }

    async fn run(&self) {
        self.target_group_attributes().await;
        self.listener_attributes().await;
        self.fixed_response().await;
        self.certificates().await;
        self.rules().await;
        self.web_acl().await;
        self.observing().await;
        self.begun_certificate().await;
        self.target_group_in_use().await;
    }

    async fn make(&self, kind: Kind, spec: &Spec) -> String {
        let address = Address::new(kind, "www");
        self.aws.create(&address, spec, "token").await.unwrap().id
    }

    async fn read(&self, id: &str, like: &Spec) -> Option<Spec> {
        let address = Address::new(like.kind(), "www");
        let actual = self.aws.read(&address, id, like).await.unwrap();
        actual.map(|actual| actual.spec)
    }

    async fn find(&self, desired: &Spec) -> Option<Actual> {
        let address = Address::new(desired.kind(), "www");
        self.aws.find(&address, desired).await.unwrap()
    }

    async fn update(&self, id: &str, observed: &Spec, desired: &Spec) {
        let address = Address::new(desired.kind(), "www");
        self.aws.update(&address, id, observed, desired).await.unwrap();
    }

    async fn delete(&self, id: &str, observed: &Spec) {
        let address = Address::new(observed.kind(), "www");
        // What is gone already is success.
        for _ in 0..2 {
            self.aws.delete(&address, id, observed).await.unwrap();
        }
    }

    fn target_group(&self) -> TargetGroup {
        TargetGroup {
            name: "www-tg".into(),
            protocol: Protocol::Http,
            port: 80,
            vpc: text(&self.world["vpc"]).parse().unwrap(),
            health: HealthCheck {
                protocol: Protocol::Http,
                port: "traffic-port".into(),
                path: "/".into(),
                codes: "200".into(),
                interval: Seconds::new(10),
                timeout: Seconds::new(5),
                healthy: 2,
                unhealthy: 2,
            },
            attributes: BTreeMap::new(),
            tags: tags("target_group.www"),
        }
    }

    fn load_balancer(&self) -> Spec {
        let subnets = self.world["subnets"].as_array().unwrap().iter();
        Spec::LoadBalancer(LoadBalancer {
            name: "www-lb".into(),
            scheme: Scheme::InternetFacing,
            vpc: text(&self.world["vpc"]).parse().unwrap(),
            ip_address_type: IpAddressType::Ipv4,
            subnets: subnets.map(|subnet| text(subnet).parse().unwrap()).collect(),
            security_group: Ref::Known(text(&self.world["group"])),
            attributes: BTreeMap::new(),
            tags: tags("load_balancer.main"),
        })
    }

    fn certificate(&self, index: usize) -> String {
        text(&self.world["certificates"][index])
    }

    fn listener(&self) -> Listener {
        Listener {
            load_balancer: Ref::Known(self.balancer.clone()),
            port: 443,
            protocol: Protocol::Https,
            tls_policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".into()),
            certificate: Some(Ref::Known(self.certificate(0))),
            default_action: DefaultAction::Forward,
            target_group: Some(Ref::Known(self.group.clone())),
            redirect_to: None,
            fixed_response: None,
            attributes: BTreeMap::new(),
            tags: tags("listener.https"),
        }
    }

    fn rule(&self, priority: u16, host: &str) -> ListenerRule {
        ListenerRule {
            listener: Ref::Known(self.https.clone()),
            priority,
            conditions: BTreeMap::from([(ListenerRule::HOST.to_owned(), BTreeSet::from([host.to_owned()]))]),
            action: DefaultAction::Forward,
            target_group: Some(Ref::Known(self.group.clone())),
            tags: tags("listener_rule.www"),
        }
    }

    async fn target_group_attributes(&self) {
        let mut wanted = self.target_group();
        let observed = Spec::TargetGroup(wanted.clone());
        assert_eq!(self.read(&self.group, &observed).await.as_ref(), Some(&observed));
        wanted.attributes = map(&[(DELAY, "20"), ("stickiness.enabled", "true")]);
        let wanted = Spec::TargetGroup(wanted);
        self.update(&self.group, &observed, &wanted).await;
        let Some(Spec::TargetGroup(read)) = self.read(&self.group, &wanted).await else {
            panic!("there is no target group")
        };
        assert_eq!(read.attributes[DELAY], "20");
        assert_eq!(read.attributes["stickiness.enabled"], "true");
    }

    async fn listener_attributes(&self) {
        let mut wanted = self.listener();
        let observed = Spec::Listener(wanted.clone());
        assert_eq!(self.read(&self.https, &observed).await.as_ref(), Some(&observed));
        wanted.attributes = map(&[(HSTS, "max-age=300")]);
        let wanted = Spec::Listener(wanted);
        self.update(&self.https, &observed, &wanted).await;
        let Some(Spec::Listener(read)) = self.read(&self.https, &wanted).await else {
            panic!("there is no listener")
        };
        assert_eq!(read.attributes[HSTS], "max-age=300");
    }

    async fn fixed_response(&self) {
        let mut plain = self.listener();
        (plain.port, plain.protocol) = (80, Protocol::Http);
        (plain.tls_policy, plain.certificate, plain.target_group) = (None, None, None);
        plain.default_action = DefaultAction::FixedResponse;
        plain.fixed_response = Some("404 text/plain: there is no such site".into());
        plain.tags = tags("listener.http");
        let wanted = Spec::Listener(plain.clone());
        let id = self.make(Kind::Listener, &wanted).await;
        assert_eq!(self.read(&id, &wanted).await.as_ref(), Some(&wanted));
        plain.default_action = DefaultAction::Redirect;
        plain.fixed_response = None;
        plain.redirect_to = Some(Listener::redirect_to_https(443));
        let redirect = Spec::Listener(plain);
        self.update(&id, &wanted, &redirect).await;
        assert_eq!(self.read(&id, &redirect).await.as_ref(), Some(&redirect));
    }

    async fn certificates(&self) {
        let specs = [0, 1, 2].map(|index| {
            Spec::ListenerCertificate(ListenerCertificate {
                listener: Ref::Known(self.https.clone()),
                certificate: Ref::Known(self.certificate(index)),
            })
        });
        // The first is the default one, which is another thing.
        assert_eq!(self.find(&specs[0]).await, None);
        assert_eq!(self.find(&specs[1]).await, None);
        let mut ids = Vec::new();
        for spec in &specs[1..] {
            let id = self.make(Kind::ListenerCertificate, spec).await;
            // Adding it again changes nothing.
            assert_eq!(self.make(Kind::ListenerCertificate, spec).await, id);
            assert_eq!(self.read(&id, spec).await.as_ref(), Some(spec));
            assert_eq!(self.find(spec).await.map(|actual| actual.id), Some(id.clone()));
            ids.push(id);
        }
        assert_eq!(ids[0], format!("{}#{}", self.https, self.certificate(1)));
        self.delete(&ids[1], &specs[2]).await;
        assert_eq!(self.read(&ids[1], &specs[2]).await, None);
    }

    async fn rules(&self) {
        let address = Address::new(Kind::ListenerRule, "www");
        let wanted = Spec::ListenerRule(self.rule(10, "a.example.com"));
        assert_eq!(self.find(&wanted).await, None);
        let id = self.make(Kind::ListenerRule, &wanted).await;
        assert_eq!(self.read(&id, &wanted).await.as_ref(), Some(&wanted));
        assert_eq!(self.find(&wanted).await.map(|actual| actual.id), Some(id.clone()));
        // The number is taken by the rule itself, as after a lost answer; for another rule it is an error.
        assert_eq!(self.make(Kind::ListenerRule, &wanted).await, id);
        let mut other = self.rule(10, "b.example.com");
        other.tags = tags("listener_rule.other");
        let error = self.aws.create(&address, &Spec::ListenerRule(other.clone()), "").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(
            error.message.contains(&id) && error.message.contains("host-header a.example.com"),
            "{error}"
        );
        other.priority = 20;
        let other = Spec::ListenerRule(other);
        let second = self.make(Kind::ListenerRule, &other).await;

        // Back behind the other rule, then to the front, with other conditions each time.
        let mut observed = wanted;
        for (priority, host) in [(30, "b.example.com"), (5, "c.example.com")] {
            let moved = Spec::ListenerRule(self.rule(priority, host));
            self.update(&id, &observed, &moved).await;
            assert_eq!(self.read(&id, &moved).await.as_ref(), Some(&moved));
            observed = moved;
        }
        let taken = Spec::ListenerRule(self.rule(20, "c.example.com"));
        let error = self.aws.update(&address, &id, &observed, &taken).await.unwrap_err();
        assert!(error.message.contains(&second), "{error}");
        self.delete(&second, &other).await;
        assert_eq!(self.read(&second, &other).await, None);
    }

    async fn web_acl(&self) {
        let specs = [0, 1].map(|index| {
            Spec::WebAclAssociation(WebAclAssociation {
                load_balancer: Ref::Known(self.balancer.clone()),
                web_acl: text(&self.world["web_acls"][index]),
            })
        });
        assert_eq!(self.find(&specs[0]).await, None);
        assert_eq!(self.make(Kind::WebAclAssociation, &specs[0]).await, self.balancer);
        assert_eq!(self.read(&self.balancer, &specs[0]).await.as_ref(), Some(&specs[0]));
        self.delete(&self.balancer, &specs[0]).await;
        assert_eq!(self.read(&self.balancer, &specs[0]).await, None);
        self.make(Kind::WebAclAssociation, &specs[1]).await;
        assert_eq!(
            self.find(&specs[1]).await.map(|actual| actual.spec),
            Some(specs[1].clone())
        );
    }

    /// Only a rule leads there: neither names nor tags nor the state do.
    async fn observing(&self) {
        let rule = self
            .find(&Spec::ListenerRule(self.rule(5, "c.example.com")))
            .await
            .unwrap();
        let query = |details: Details| Query {
            stack: serde_json::from_value(json!("else")).unwrap(),
            name_prefix: "else-".into(),
            instances: BTreeSet::new(),
            names: BTreeSet::new(),
            zones: BTreeSet::new(),
            certificates: BTreeSet::new(),
            recorded: BTreeMap::new(),
            adopted: BTreeSet::from([rule.id.clone(), self.group.clone(), self.certificate(2)]),
            details,
        };
        let kinds = |found: &[Actual]| {
            let mut count = BTreeMap::new();
            for actual in found {
                *count.entry(actual.spec.kind()).or_insert(0) += 1;
            }
            count
        };
        let mut expected = BTreeMap::from([
            (Kind::Certificate, 1),
            (Kind::TargetGroup, 1),
            (Kind::LoadBalancer, 1),
            (Kind::Listener, 2),
            (Kind::ListenerCertificate, 1),
            (Kind::ListenerRule, 1),
        ]);
        let found = self.aws.observe(&query(Details::default())).await.unwrap().found;
        assert_eq!(kinds(&found), expected);
        assert!(found.contains(&rule));
        let attributes = |found: &[Actual]| {
            let attributes = found.iter().map(|actual| match &actual.spec {
                Spec::TargetGroup(group) => group.attributes.get(DELAY).cloned(),
                Spec::Listener(listener) if listener.port == 443 => listener.attributes.get(HSTS).cloned(),
                _ => None,
            });
            attributes.flatten().collect::<BTreeSet<_>>()
        };
        assert!(attributes(&found).is_empty());

        let details = Details {
            target_group_attributes: true,
            listener_attributes: true,
            web_acls: true,
            begun_certificates: false,
        };
        let found = self.aws.observe(&query(details)).await.unwrap().found;
        expected.insert(Kind::WebAclAssociation, 1);
        assert_eq!(kinds(&found), expected);
        assert_eq!(
            attributes(&found),
            BTreeSet::from(["20".to_owned(), "max-age=300".to_owned()])
        );
    }

    /// Its names are not those of any site: another configuration has come since it was requested.
    async fn begun_certificate(&self) {
        let name: DomainName = "left.example.org".parse().unwrap();
        let address = Address::new(Kind::Certificate, "www");
        let wanted = Spec::Certificate(Certificate {
            domain: Some(name.clone()),
            names: BTreeSet::from([name]),
            key_algorithm: KeyAlgorithm::EcPrime256v1,
            tags: tags("certificate.www"),
        });
        let id = self.make(Kind::Certificate, &wanted).await;
        assert_eq!(self.find(&wanted).await.map(|actual| actual.id), Some(id.clone()));
        let seen = async |stack: &str, begun_certificates: bool| {
            let details = Details {
                begun_certificates,
                ..Details::default()
            };
            let query = Query {
                stack: serde_json::from_value(json!(stack)).unwrap(),
                name_prefix: "else-".into(),
                instances: BTreeSet::new(),
                names: BTreeSet::from(["www.example.com".parse().unwrap()]),
                zones: BTreeSet::new(),
                certificates: BTreeSet::new(),
                recorded: BTreeMap::new(),
                adopted: BTreeSet::new(),
                details,
            };
            let found = self.aws.observe(&query).await.unwrap().found;
            found.into_iter().map(|actual| actual.id).collect::<Vec<_>>()
        };
        assert_eq!(seen("www", true).await, [id.as_str()]);
        assert_eq!(seen("www", false).await, Vec::<String>::new());
        assert_eq!(seen("other", true).await, Vec::<String>::new());
        self.aws.delete(&address, &id, &wanted).await.unwrap();
    }

    async fn target_group_in_use(&self) {
        let address = Address::new(Kind::TargetGroup, "www");
        let spec = Spec::TargetGroup(self.target_group());
        let error = self.aws.delete(&address, &self.group, &spec).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InUse);
        let rule = self
            .find(&Spec::ListenerRule(self.rule(5, "c.example.com")))
            .await
            .unwrap();
        assert!(
            error.message.contains(&self.https) && error.message.contains(&rule.id),
            "{error}"
        );
    }
}
