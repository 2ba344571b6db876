//! The world of the story: a web site on one instance, with nothing in front of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::json;

use crate::{DataPlane, DataPlaneOptions, Emulator, Error, Options, WebServer};

const SCRIPT: &str = include_str!("seed.py");
/// The first instance's public address ends in this, the others follow.
const FIRST_INSTANCE_HOST: u8 = 10;

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
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            domain: "www.example.com".to_owned(),
            ttl: 60,
            instances: 1,
            open_ports: vec![22, 80, 443],
            group_name: "web".to_owned(),
        }
    }
}

/// What was made.
#[derive(Debug, Clone, Deserialize)]
pub struct Seeded {
    /// The site's name.
    #[serde(default)]
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
}

impl Seeded {
    /// The first instance.
    pub fn instance(&self) -> &SeededInstance {
        // `seed` makes at least one.
        &self.instances[0]
    }
}

/// Makes the world, and empties the request log afterwards.
///
/// With a data plane the instances have addresses of its network and serve the site there; without one their addresses
/// are of a network for documentation. What the emulator holds already (moto's default VPC) stays untouched.
pub async fn seed(emulator: &Emulator, plane: Option<&DataPlane>, seed: &Seed) -> Result<Seeded, Error> {
    let addresses: Vec<Ipv4Addr> = (0..seed.instances.max(1))
        .map(|index| {
            let host = FIRST_INSTANCE_HOST + index;
            plane.map_or(Ipv4Addr::new(203, 0, 113, host), |it| it.address(host))
        })
        .collect();
    let zone = seed
        .domain
        .split_once('.')
        .map_or(seed.domain.as_str(), |(_, parent)| parent);
    let given = json!({
        "domain": seed.domain,
        "zone": zone,
        "ttl": seed.ttl,
        "addresses": addresses,
        "open_ports": seed.open_ports,
        "group_name": seed.group_name,
    });
    let made = emulator.boto3_with(SCRIPT, &given).await?;
    let mut seeded: Seeded =
        serde_json::from_value(made.clone()).map_err(Error::unreadable("the seeded world", &made.to_string()))?;
    seeded.domain.clone_from(&seed.domain);

    let public: BTreeMap<String, Ipv4Addr> = seeded
        .instances
        .iter()
        .map(|instance| (instance.id.clone(), instance.public))
        .collect();
    emulator.control().set_public_addresses(&public).await?;
    if let Some(plane) = plane {
        for instance in &seeded.instances {
            let server = WebServer::for_site(&seed.domain);
            plane.serve(&instance.id, server).await?;
        }
        plane.settled().await?;
    }
    emulator.control().clear_requests().await?;
    Ok(seeded)
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
        let data_plane = DataPlane::start(emulator.control(), DataPlaneOptions::default()).await?;
        let world = seed(&emulator, Some(&data_plane), wanted).await?;
        Ok(Self {
            data_plane,
            emulator,
            world,
        })
    }

    /// The PEM certificates that visitors of the site before the move must trust: those of the instances themselves.
    pub fn instance_certificates(&self) -> Vec<String> {
        let instances = self.world.instances.iter();
        instances
            .filter_map(|instance| self.data_plane.instance_certificate(&instance.id))
            .collect()
    }
}
