//! The world of the story: web sites on instances, with nothing in front of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use serde_json::json;

use crate::data_plane::LOAD_BALANCER_TTL;
use crate::{DataPlane, DataPlaneOptions, Emulator, Error, ForeignHosts, Options, Visitor, VisitorOptions, WebServer};

const SCRIPT: &str = include_str!("seed.py");
/// The first instance's public address ends in this, the others follow.
const FIRST_INSTANCE_HOST: u8 = 10;
/// How many instances there is room for before the DNS server's address.
const MAXIMUM_INSTANCES: usize = 40;
/// The role that may change the hosted zones of another account.
const ZONE_ROLE: &str = "reconcile-dns";

/// What the world is to be like.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The site's name. Its hosted zone is what remains without the first label.
    pub domain: String,
    /// The TTL of the site's A record, in seconds.
    pub ttl: u32,
    /// How many instances serve the site; the A record holds the addresses of all.
    pub instances: u8,
    /// The ports that the instances' group admits from the world.
    pub open_ports: Vec<u16>,
    /// The name of the instances' group.
    pub group_name: String,
    /// Further sites in the same VPC. With some, every web server refuses the names of the others by 421.
    pub further_sites: Vec<SeedSite>,
    /// Gives VPC, subnets and instances IPv6 addresses, and routes to the internet by IPv6.
    pub ipv6: bool,
    /// How long a [`Scene`]'s resolvers may remember a load balancer's addresses, in seconds. A test that leads visitors
    /// away from a load balancer makes it short.
    pub load_balancer_ttl: u32,
    /// Another account that the hosted zones belong to, reached by the role in [`Seeded::zone_role`].
    pub zone_account: Option<String>,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            domain: "www.example.com".to_owned(),
            ttl: 60,
            instances: 1,
            open_ports: vec![22, 80, 443],
            group_name: "web".to_owned(),
            further_sites: Vec::new(),
            ipv6: false,
            load_balancer_ttl: LOAD_BALANCER_TTL,
            zone_account: None,
        }
    }
}

/// A further site, with instances and a security group of its own. Its record's TTL and the open ports are those of
/// the first site.
#[derive(Debug, Clone)]
pub struct SeedSite {
    /// The site's name; its hosted zone, which sites share, is what remains without the first label.
    pub domain: String,
    /// How many instances serve it.
    pub instances: u8,
    /// The name of the instances' group.
    pub group_name: String,
}

impl SeedSite {
    /// A site on one instance, whose group is named after the first label.
    pub fn of(domain: &str) -> Self {
        let label = domain.split('.').next().unwrap_or(domain);
        Self {
            domain: domain.to_owned(),
            instances: 1,
            group_name: format!("web-{label}"),
        }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// The site's name.
    pub domain: String,
    /// `vpc-...`.
    pub vpc: String,
    /// `igw-...`.
    pub internet_gateway: String,
    /// Two, in two availability zones.
    pub public_subnets: Vec<SeededSubnet>,
    /// Without a route to the internet.
    pub private_subnet: SeededSubnet,
    /// The instances' group.
    pub security_group: String,
    /// The web servers.
    pub instances: Vec<SeededInstance>,
    /// The hosted zone's id, without a path.
    pub zone: String,
    /// The role to assume for the hosted zones, if they belong to another account.
    pub zone_role: Option<String>,
    /// All sites, the first one too.
    pub sites: Vec<SeededSite>,
}

/// What the script tells.
#[derive(Debug, Deserialize)]
struct Made {
    vpc: String,
    internet_gateway: String,
    public_subnets: Vec<SeededSubnet>,
    private_subnet: SeededSubnet,
    sites: Vec<SeededSite>,
}

/// A site that was made.
#[derive(Debug, Clone, Deserialize)]
pub struct SeededSite {
    /// The site's name.
    pub domain: String,
    /// Its instances' group.
    pub security_group: String,
    /// Its web servers.
    pub instances: Vec<SeededInstance>,
    /// Its hosted zone's id, without a path.
    pub zone: String,
}

/// A subnet that was made.
#[derive(Debug, Clone, Deserialize)]
pub struct SeededSubnet {
    /// `subnet-...`.
    pub id: String,
    /// Its availability zone.
    pub zone: String,
}

/// An instance that was made.
#[derive(Debug, Clone, Deserialize)]
pub struct SeededInstance {
    /// `i-...`.
    pub id: String,
    /// Its address in the VPC.
    pub private: Ipv4Addr,
    /// Its public address, which the A record holds.
    pub public: Ipv4Addr,
    /// Its IPv6 address, if the seed asked for one. The emulated DNS answers a loopback address in its place.
    pub ipv6: Option<Ipv6Addr>,
}

impl Seeded {
    /// The first instance.
    pub fn instance(&self) -> &SeededInstance {
        // `seed` makes at least one.
        &self.instances[0]
    }

    /// The site of a name.
    pub fn site(&self, domain: &str) -> Option<&SeededSite> {
        self.sites.iter().find(|site| site.domain == domain)
    }
}

/// Makes the world, and empties the request log afterwards.
///
/// With a data plane the instances have addresses of its network and serve their sites there; without one their
/// addresses are of a network for documentation. What the emulator holds already (moto's default VPC) stays untouched.
pub async fn seed(emulator: &Emulator, plane: Option<&DataPlane>, seed: &Seed) -> Result<Seeded, Error> {
    let first = SeedSite {
        domain: seed.domain.clone(),
        instances: seed.instances,
        group_name: seed.group_name.clone(),
    };
    let mut hosts = (FIRST_INSTANCE_HOST..).take(MAXIMUM_INSTANCES);
    let sites: Vec<_> = std::iter::once(&first)
        .chain(&seed.further_sites)
        .map(|site| {
            let addresses: Vec<Ipv4Addr> = hosts
                .by_ref()
                .take(site.instances.max(1).into())
                .map(|host| plane.map_or(Ipv4Addr::new(203, 0, 113, host), |it| it.address(host)))
                .collect();
            let domain = site.domain.as_str();
            json!({
                "domain": domain,
                "zone": domain.split_once('.').map_or(domain, |(_, parent)| parent),
                "ttl": seed.ttl,
                "addresses": addresses,
                "open_ports": seed.open_ports,
                "group_name": site.group_name,
            })
        })
        .collect();
    let zone_role = seed
        .zone_account
        .as_ref()
        .map(|account| format!("arn:aws:iam::{account}:role/{ZONE_ROLE}"));
    let given = json!({ "sites": sites, "ipv6": seed.ipv6, "zone_role": zone_role });
    let told = emulator.boto3_with(SCRIPT, &given).await?;
    let made: Made =
        serde_json::from_value(told.clone()).map_err(Error::unreadable("the seeded world", &told.to_string()))?;

    let instances = || made.sites.iter().flat_map(|site| &site.instances);
    let public: BTreeMap<String, Ipv4Addr> = instances().map(|it| (it.id.clone(), it.public)).collect();
    emulator.control().set_public_addresses(&public).await?;
    if let Some(plane) = plane {
        let foreign = if seed.further_sites.is_empty() {
            ForeignHosts::Serve
        } else {
            ForeignHosts::Refuse
        };
        for site in &made.sites {
            for instance in &site.instances {
                let server = WebServer::for_site(&site.domain).foreign_hosts(foreign);
                plane.serve(&instance.id, server).await?;
            }
        }
        plane.settled().await?;
    }
    emulator.control().clear_requests().await?;

    let Made {
        vpc,
        internet_gateway,
        public_subnets,
        private_subnet,
        sites,
    } = made;
    // The script tells one site for each that it was given.
    let SeededSite {
        domain,
        security_group,
        instances,
        zone,
    } = sites[0].clone();
    Ok(Seeded {
        domain,
        vpc,
        internet_gateway,
        public_subnets,
        private_subnet,
        security_group,
        instances,
        zone,
        zone_role,
        sites,
    })
}

/// An emulator with its data plane and the world of the story.
#[derive(Debug)]
pub struct Scene {
    /// Names, addresses and web servers. Declared first, so that it ends before what it follows.
    pub data_plane: DataPlane,
    /// The emulated AWS.
    pub emulator: Emulator,
    /// What the world holds.
    pub world: Seeded,
}

impl Scene {
    /// Starts everything.
    pub async fn start(options: Options, wanted: &Seed) -> Result<Self, Error> {
        let emulator = Emulator::start(options).await?;
        let network = DataPlaneOptions {
            load_balancer_ttl: wanted.load_balancer_ttl,
            ..DataPlaneOptions::default()
        };
        let data_plane = DataPlane::start(emulator.control(), network).await?;
        let world = seed(&emulator, Some(&data_plane), wanted).await?;
        Ok(Self {
            data_plane,
            emulator,
            world,
        })
    }

    /// The PEM certificates that visitors of the sites before the move must trust: those of the instances themselves.
    pub fn instance_certificates(&self) -> Vec<String> {
        let instances = self.world.sites.iter().flat_map(|site| &site.instances);
        instances
            .filter_map(|instance| self.data_plane.instance_certificate(&instance.id))
            .collect()
    }

    /// A visitor of a site, twenty times a second, who trusts the instances' own certificates.
    pub fn visit(&self, domain: &str) -> Result<Visitor, Error> {
        let options = VisitorOptions::of(domain).trusting(self.instance_certificates());
        Visitor::start(&self.data_plane, options)
    }
}
