//! `reconcile state mv`: gives objects other addresses, for example when a site is renamed.

use reconcile_core::{
    config::{Config, SiteName},
    resource::Address,
};
use reconcile_engine::StopSignal;

use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output,
    render::{self, clean},
};

/// Moves one object, or all of a site.
pub(super) async fn run(
    (from, to): (&str, &str),
    site: bool,
    common: &CommonArgs,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let move_it = if site {
        Move::Site(site_name(from)?, site_name(to)?)
    } else {
        Move::Object(address(from)?, address(to)?)
    };
    let (_lock, opened) = super::open_locked(common, "state mv", stop).await?;
    let mut state = opened.state.clone();
    let pairs = match &move_it {
        Move::Site(old, new) => state.rename_site(old, new)?,
        Move::Object(from, to) => {
            state.rename(from, to)?;
            vec![(from.clone(), to.clone())]
        }
    };
    super::replace(&opened.store, state).await?;
    let rows = pairs
        .iter()
        .map(|(from, to)| [from.to_string(), "is now".to_owned(), to.to_string()]);
    let mut lines = render::aligned(rows.collect());
    lines.push("In AWS the tags still have the old addresses: the next plan shows that as changes.\n".to_owned());
    output::tell(&lines.join("\n"));
    if let Some(config) = &opened.config {
        warn(config, &pairs);
    }
    Ok(Ended::Well)
}

enum Move {
    Site(SiteName, SiteName),
    Object(Address, Address),
}

fn address(text: &str) -> Result<Address, CommandError> {
    text.parse().map_err(|error: reconcile_core::resource::AddressError| {
        Failure::new(error.to_string())
            .hint("`reconcile state list` shows the addresses; with `--site` whole sites are renamed")
            .into()
    })
}

fn site_name(text: &str) -> Result<SiteName, CommandError> {
    text.parse().map_err(|fault: String| {
        Failure::new(fault)
            .hint("with `--site`, write names of sites: `reconcile state mv --site www web`")
            .into()
    })
}

/// What the configuration does not ask for is deleted by the next run: that must not come of a misspelt address.
fn warn(config: &Config, pairs: &[(Address, Address)]) {
    for (_, to) in pairs {
        let unwanted = config.addresses(to.kind()).is_some_and(|known| !known.contains(to));
        if unwanted {
            output::note(&format!(
                "warning: the configuration does not ask for {to}, so the next plan deletes it\n  \
                 hint: change the configuration before the next `reconcile apply`, or move it back\n",
                to = clean(&to.to_string())
            ));
        }
    }
}
