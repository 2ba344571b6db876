//! A world with two sites and all kinds of resources, in which a stack lives and dies again and again.

use std::{collections::BTreeMap, time::Duration};

use reconcile_emulator::{Options, Scene, Seed, SeedSite, Settings, Snippets, WebServer};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    process::Child,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    judge::{Miss, Sight},
    plan::{Moment, Phase, Point},
    support::{Desk, Run, quick_dns},
};

/// How long one run may take, killed or not.
const DEADLINE: Duration = Duration::from_secs(90);
/// How many runs may fail, or leave something for the next, until one is complete.
const MOST_ATTEMPTS: usize = 4;
/// How often the state file is looked at until it has taken up an answer.
const GLANCE: Duration = Duration::from_millis(2);

const STANDING: &str = include_str!("standing.py");

/// A second VPC with an instance for each site, and a web ACL.
const MORE: &str = r#"
ec2, waf = client("ec2"), client("wafv2")
vpc = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
subnets = []
for index, zone in enumerate(given["zones"]):
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.30.%d.0/24" % index, AvailabilityZone=zone)["Subnet"]["SubnetId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    subnets.append(subnet)
instances = []
for name in ("other-www", "other-shop"):
    group = ec2.create_security_group(GroupName=name, Description="Web server", VpcId=vpc)["GroupId"]
    for port in (80, 443):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnets[0],
        SecurityGroupIds=[group])
    instances.append(made["Instances"][0]["InstanceId"])
visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "main"}
acl = waf.create_web_acl(Name="main", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility)["Summary"]["ARN"]
groups = [group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]]
show({"instances": instances, "web_acl": acl, "groups": groups})
"#;

/// What a phase leads to when nobody disturbs it.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) sight: Sight,
    /// What it asked AWS to change, in order.
    pub(crate) requests: Vec<String>,
}

/// How a phase went that should have been killed.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It ended before it came to the request.
    EndedBefore,
    /// It was killed, and others carried it to its end.
    Killed {
        /// At this call.
        request: String,
        /// What was said by each run that had to be followed by another, because of an error or of something in use.
        again: Vec<String>,
    },
}

/// A world, and what a stack is to become in it.
pub(crate) struct Stage {
    scene: Scene,
    desk: Desk,
    snippets: Snippets,
    configs: [String; 2],
    /// What stood there before, for `standing.py`.
    given: Value,
    references: BTreeMap<Phase, Reference>,
}

impl Stage {
    /// Makes a world, and lets a stack live in it once without being disturbed.
    pub(crate) async fn set() -> Self {
        let wanted = Seed {
            further_sites: vec![SeedSite::of("shop.example.com")],
            ..quick_dns()
        };
        let scene = Scene::start(Options::default(), &wanted).await.unwrap();
        let at_once = Settings {
            validation_records_after: Some(0.0),
            issue_after: Some(0.0),
            load_balancer_active_after: Some(0.0),
            registration_after: Some(0.0),
            draining_for: Some(0.0),
            target_groups_linger_for: Some(0.0),
            web_acl_unavailable_for: Some(0.0),
            change_in_sync_after: Some(0.0),
            interfaces_linger_for: Some(0.0),
            ..Settings::default()
        };
        scene.emulator.control().change_settings(at_once).await.unwrap();
        let snippets = scene.emulator.snippets().unwrap();
        let zones: Vec<&String> = scene.world.public_subnets.iter().map(|subnet| &subnet.zone).collect();
        let more = snippets.run(MORE, &json!({ "zones": zones })).await.unwrap();
        let others = [0, 1].map(|index| more["instances"][index].as_str().unwrap().to_owned());
        let addresses: BTreeMap<_, _> = (40..)
            .zip(&others)
            .map(|(host, id)| (id.clone(), scene.data_plane.address(host)))
            .collect();
        scene.emulator.control().set_public_addresses(&addresses).await.unwrap();
        for (site, id) in scene.world.sites.iter().zip(&others) {
            scene
                .data_plane
                .serve(id, WebServer::for_site(&site.domain))
                .await
                .unwrap();
        }
        scene.data_plane.settled().await.unwrap();

        let acl = &more["web_acl"];
        let config = |www: &str, shop: &str, site: &str| {
            format!(
                "region = \"ap-northeast-1\"\n\
                 [site.www]\ndomain = \"www.example.com\"\ninstance = \"{www}\"\nhealth.path = \"/\"\n{site}\
                 [site.shop]\ndomain = \"shop.example.com\"\ninstance = \"{shop}\"\nhealth.path = \"/\"\n{site}\
                 [load_balancer]\nhttp = \"redirect\"\nidle_timeout = \"75s\"\nweb_acl = {acl}\n\
                 [lockdown]\ndrain_margin = \"0s\"\nwait = \"2s\"\n"
            )
        };
        let first = [0, 1].map(|index| scene.world.sites[index].instances[0].id.clone());
        let configs = [
            config(&first[0], &first[1], "deregistration_delay = \"1s\"\n"),
            config(
                &others[0],
                &others[1],
                "deregistration_delay = \"1s\"\nkey_algorithm = \"EC_prime256v1\"\n",
            ),
        ];
        let mut arguments = scene.data_plane.arguments();
        arguments.extend(["--poll-interval".to_owned(), "50ms".to_owned()]);
        let desk = Desk::new(scene.emulator.environment(), arguments, &configs[0]);
        let given = json!({ "groups": more["groups"], "zone": scene.world.zone });
        let mut stage = Self {
            scene,
            desk,
            snippets,
            configs,
            given,
            references: BTreeMap::new(),
        };
        let seed = stage.snippets.inventory(&stage.scene.world).await.unwrap();
        for phase in Phase::ALL {
            stage.scene.emulator.control().clear_requests().await.unwrap();
            stage.live(phase).await;
            let requests = stage.scene.emulator.control().mutating_requests().await.unwrap();
            let sight = stage.look().await;
            assert!(sight.state_is_whole(), "{phase}: {sight:#?}");
            let requests = requests
                .iter()
                .map(|request| format!("{} {}", request.service, request.action))
                .collect();
            stage.references.insert(phase, Reference { sight, requests });
        }
        assert_eq!(
            stage.references[&Phase::Destroy].sight.inventory,
            seed,
            "a destroyed stack leaves nothing"
        );
        stage
    }

    /// What a phase that is not killed asks for.
    pub(crate) fn requests(&self, phase: Phase) -> &[String] {
        &self.references[&phase].requests
    }

    /// Lets a phase pass undisturbed.
    pub(crate) async fn live(&self, phase: Phase) {
        self.begin(phase);
        loop {
            let run = self.run(phase).await;
            assert_eq!(run.code, Some(0), "{phase}: {run:#?}");
            if is_complete(&run) {
                break;
            }
            self.pass_drain();
        }
    }

    /// Kills a phase at a point and lets it be carried on until it is complete.
    ///
    /// # Errors
    /// With what differs from a phase that was never killed.
    pub(crate) async fn attempt(&self, point: Point) -> Result<Attempt, Miss> {
        let control = self.scene.emulator.control();
        self.begin(point.phase);
        control.close_gate(point.moment.gate(), point.at).await.unwrap();
        let request = loop {
            let mut process = Process::start(&self.desk, arguments(point.phase));
            if let Some(request) = self.until_point(&mut process, point).await {
                process.kill().await;
                break request;
            }
            let run = process.end().await;
            if run.code != Some(0) {
                control.remove_gate().await.unwrap();
                return Err(Miss::of(format!("a run that was not killed failed: {run:#?}")));
            }
            if is_complete(&run) {
                control.remove_gate().await.unwrap();
                return Ok(Attempt::EndedBefore);
            }
            self.pass_drain();
        };
        control.open_gate().await.unwrap();
        let mut again = Vec::new();
        let mut finished = self.finish(point.phase, &mut again).await;
        let told = control.remove_gate().await.unwrap();
        if finished.is_ok() && told.late.as_deref() == Some("held") {
            again.push("the late request came after everything else".to_owned());
            finished = self.finish(point.phase, &mut again).await;
        }
        let judged = match finished {
            Ok(()) => self.judge(point.phase).await,
            Err(miss) => Err(miss),
        };
        match judged {
            Ok(()) => Ok(Attempt::Killed { request, again }),
            Err(miss) => Err(Miss { request, ..miss }),
        }
    }

    /// Waits until a process is as far as it may come, and gives the request; `None` if it ends before.
    async fn until_point(&self, process: &mut Process, point: Point) -> Option<String> {
        let control = self.scene.emulator.control();
        let reached = async {
            loop {
                let told = control.at_gate(Duration::from_secs(30)).await.unwrap();
                if told.reached {
                    break told.request.unwrap();
                }
            }
        };
        let request = tokio::select! {
            request = reached => request,
            () = process.ended() => {
                // Its last request may have been the one.
                let told = control.at_gate(Duration::ZERO).await.unwrap();
                return told.reached.then(|| told.request.unwrap());
            }
        };
        if point.moment == Moment::Answered {
            let taken_up = async {
                // Each change that is begun stands in the state file. When all of them are held, the answer is in.
                while self.begun() > control.at_gate(Duration::ZERO).await.unwrap().held {
                    tokio::time::sleep(GLANCE).await;
                }
            };
            tokio::select! {
                () = taken_up => {}
                () = process.ended() => {}
            }
        }
        Some(request)
    }

    /// How many changes the state file says are under way.
    fn begun(&self) -> u64 {
        let state = self.desk.state();
        state["intents"].as_object().map_or(0, |intents| intents.len() as u64)
    }

    /// Runs until a run is complete, and notes what the others said.
    async fn finish(&self, phase: Phase, again: &mut Vec<String>) -> Result<(), Miss> {
        loop {
            self.pass_drain();
            let run = self.run(phase).await;
            if is_complete(&run) {
                return Ok(());
            }
            if run.code == Some(0) && run.stdout.contains("not before") {
                continue;
            }
            again.push(format!(
                "{}{}",
                run.stderr,
                run.stdout.lines().last().unwrap_or_default()
            ));
            if again.len() == MOST_ATTEMPTS {
                return Err(Miss::of(format!("it does not end:\n{}", again.join("\n---\n"))));
            }
        }
    }

    /// Compares with a phase that was never killed.
    async fn judge(&self, phase: Phase) -> Result<(), Miss> {
        let mut miss = self.references[&phase].sight.compare(&self.look().await);
        let next = match phase {
            Phase::Destroy => self.desk.run(&["destroy", "--dry-run", "--purge-validation"]).await,
            Phase::Apply | Phase::Replacement => self.desk.run(&["plan", "--detailed-exitcode"]).await,
        };
        if next.code != Some(0) || !next.stdout.contains("No changes.") {
            miss.differences
                .push(format!("the next plan is not empty: {}", next.stdout));
        }
        if miss.differences.is_empty() { Ok(()) } else { Err(miss) }
    }

    async fn look(&self) -> Sight {
        let inventory = self.snippets.inventory(&self.scene.world).await.unwrap();
        let standing = self.snippets.run(STANDING, &self.given).await.unwrap();
        Sight::new(inventory, standing, self.desk.state())
    }

    fn begin(&self, phase: Phase) {
        self.desk.configure(match phase {
            Phase::Apply => &self.configs[0],
            Phase::Replacement | Phase::Destroy => &self.configs[1],
        });
    }

    async fn run(&self, phase: Phase) -> Run {
        Process::start(&self.desk, arguments(phase)).end().await
    }

    fn pass_drain(&self) {
        if self.desk.state_file().exists() {
            self.desk.pass_drain();
        }
    }
}

fn arguments(phase: Phase) -> &'static [&'static str] {
    match phase {
        Phase::Apply | Phase::Replacement => &["--yes"],
        Phase::Destroy => &["destroy", "--yes", "--purge-validation"],
    }
}

fn is_complete(run: &Run) -> bool {
    run.code == Some(0) && !run.stdout.contains("Later:")
}

/// A run that can be killed.
struct Process {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    until: Instant,
}

impl Process {
    fn start(desk: &Desk, arguments: &[&str]) -> Self {
        let mut child = desk.start(arguments);
        Self {
            stdout: tokio::spawn(read(child.stdout.take().unwrap())),
            stderr: tokio::spawn(read(child.stderr.take().unwrap())),
            child,
            until: Instant::now() + DEADLINE,
        }
    }

    async fn ended(&mut self) {
        let left = self.until - Instant::now();
        timeout(left, self.child.wait()).await.expect("a run ends").unwrap();
    }

    async fn end(mut self) -> Run {
        self.ended().await;
        Run {
            code: self.child.wait().await.unwrap().code(),
            stdout: self.stdout.await.unwrap(),
            stderr: self.stderr.await.unwrap(),
        }
    }

    /// Ends it by SIGKILL, and returns when it is gone.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

async fn read(mut pipe: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).await.unwrap();
    text
}
