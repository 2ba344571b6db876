//! What `state` and `import` take.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reconcile_core::{import::Place, resource::Address};

use super::Format;

/// What stands below the help of `import`.
pub(super) const IMPORT: &str = "\
Examples:
  reconcile import target_group arn:aws:elasticloadbalancing:...:targetgroup/web/0123456789abcdef
  reconcile import certificate.www arn:aws:acm:...:certificate/...
  reconcile import security_group sg-0123456789abcdef0
  reconcile import alias_record www.example.com";

/// What is done with the state file.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum StateCommand {
    /// Show everything that is recorded
    List {
        /// How it is written
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Show everything that is recorded of one address
    Show {
        /// The address, such as `target_group.www`
        address: Address,
        /// How it is written
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Forget objects; they stay in AWS as they are
    Rm {
        /// Addresses, such as `target_group.www`
        #[arg(required_unless_present = "id")]
        addresses: Vec<Address>,
        /// Forget the retired object with this id, so that it is not deleted; can be repeated
        #[arg(long, value_name = "ID")]
        id: Vec<String>,
        /// Do not ask; needed where stdin or stderr is not a terminal
        #[arg(long, short)]
        yes: bool,
    },
    /// Give an object, or all objects of a site, another address
    Mv {
        /// The address as it is, such as `target_group.www`; with --site the site's name
        from: String,
        /// The address, or name, as it will be
        to: String,
        /// Rename a site: move everything that carries its name
        #[arg(long)]
        site: bool,
    },
    /// Write the state to a new file, or to stdout
    Pull {
        /// The file; stdout if left out
        file: Option<PathBuf>,
    },
    /// Bring a state to where the configuration keeps it
    Push {
        /// The file with the state; `-` for stdin
        file: PathBuf,
        /// Even if the state that is there is newer, or another one
        #[arg(long)]
        force: bool,
    },
    /// Move the state from where it is to where the configuration keeps it
    Migrate {
        /// Where it is: `local` for state/NAME.json, a file, or `s3://BUCKET/KEY`
        #[arg(long, value_name = "PLACE")]
        from: String,
        /// Even if a newer state, or another one, is there already
        #[arg(long)]
        force: bool,
    },
    /// Remove the lock of a run that is dead
    Unlock {
        /// The lock's id, as the error about it tells
        id: String,
        /// Do not ask; needed where stdin or stderr is not a terminal
        #[arg(long, short)]
        yes: bool,
    },
    /// Make a new state of what is found in AWS, where the old one is lost or damaged
    Rebuild {
        /// Even if the state file is in order
        #[arg(long)]
        force: bool,
        /// Do not ask; needed where stdin or stderr is not a terminal
        #[arg(long, short)]
        yes: bool,
    },
}

/// What `import` takes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ImportArgs {
    /// What it becomes: an address such as `target_group.www`, or a kind if there is one of it only
    #[arg(value_name = "KIND|ADDRESS")]
    pub(crate) place: Place,
    /// The object: its ARN, the id of a security group, or the name of a record
    pub(crate) id: String,
    /// Do not ask; needed where stdin or stderr is not a terminal
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl StateCommand {
    /// The name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::List { .. } => "state list",
            Self::Show { .. } => "state show",
            Self::Rm { .. } => "state rm",
            Self::Mv { .. } => "state mv",
            Self::Pull { .. } => "state pull",
            Self::Push { .. } => "state push",
            Self::Migrate { .. } => "state migrate",
            Self::Unlock { .. } => "state unlock",
            Self::Rebuild { .. } => "state rebuild",
        }
    }
}
