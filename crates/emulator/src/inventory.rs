//! What the emulated account holds, as another client than the tool sees it.

use serde_json::{Value, json};

use crate::{Emulator, Error, Seeded, Snippets};

const SCRIPT: &str = include_str!("inventory.py");

impl Emulator {
    /// Everything that the tool could make, change or leave behind in the account and region, asked through boto3: load
    /// balancers with listeners, rules, attributes and web ACLs, target groups with their targets, certificates,
    /// security groups with their rules, network interfaces, instances, and the records of all hosted zones; with all
    /// tags.
    ///
    /// Two inventories are equal if the worlds are: ids that AWS makes anew each time are replaced by the names of what
    /// they stand for, lists are sorted, and neither moments nor the health of targets are told.
    /// What lingers is told as long as it is there.
    ///
    /// # Errors
    ///
    /// If the emulator does not answer, or answers with an error.
    pub async fn inventory(&self, world: &Seeded) -> Result<Value, Error> {
        self.boto3_with(SCRIPT, &given(world)).await
    }
}

impl Snippets {
    /// The same as [`Emulator::inventory`].
    ///
    /// # Errors
    ///
    /// If the emulator does not answer, or answers with an error.
    pub async fn inventory(&self, world: &Seeded) -> Result<Value, Error> {
        self.run(SCRIPT, &given(world)).await
    }
}

fn given(world: &Seeded) -> Value {
    let roles: Vec<&String> = world.zone_role.iter().collect();
    json!({ "roles": roles })
}
