//! Reads a configuration file: the order in which its parts are read, and what is made of the outcome.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::{
    Config,
    adopt::{self, Stack},
    checks,
    diagnostic::{ConfigErrorKind, ConfigErrors, Finding},
    dns, load_balancer,
    reader::{Checked, Diagnostics, Reader},
    run,
    site::{self, Surroundings},
    state, syntax,
};
use crate::limits;

const NO_SITE: &str = "there is no site in the configuration";

impl Config {
    /// Reads the text of a configuration file.
    ///
    /// `source_name` is what the file is called in errors.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, not only the first mistake.
    pub fn read(source_name: &str, text: &str) -> Result<Self, ConfigErrors> {
        if text.len() > limits::CONFIG_BYTES {
            return Err(ConfigErrors::too_long(source_name, text));
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        let diagnostics = Diagnostics::default();
        let config = config(&diagnostics, document.get_ref());
        let findings = diagnostics.into_findings();
        match config {
            Ok(config) if findings.is_empty() && errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors::new(
                source_name,
                text,
                syntax::combine(text, errors, findings),
            )),
        }
    }
}

/// Every key that the reader asks for while it reads `text`.
#[cfg(test)]
pub(super) fn known_keys(text: &str) -> BTreeSet<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    let diagnostics = Diagnostics::default();
    let _ = config(&diagnostics, document.get_ref());
    diagnostics.known()
}

fn config<'d>(diagnostics: &'d Diagnostics, document: &'d DeTable<'d>) -> Checked<Config> {
    let mut root = Reader::new(diagnostics, Some(document), (String::new(), String::new()), 0..0);
    let name = root.optional("name", checks::stack_name);
    let account = root.optional("account", |entry| {
        entry.parsed(
            "\"123456789012\"",
            "write the account's twelve digits in quotes, or leave it out",
        )
    });
    let mut region_span = 0..0;
    let region = root.optional("region", |entry| {
        region_span = entry.span();
        entry.parsed(
            "\"ap-northeast-1\"",
            "write the code of the region, such as `ap-northeast-1`, or leave it out",
        )
    });
    let profile = root.optional("profile", |entry| entry.filled("\"default\"").map(str::to_owned));
    let tags = root.or("tags", BTreeMap::new(), checks::tags);
    let known_region = region.clone().ok().flatten().map(|region| (region, region_span));
    let surroundings = Surroundings::new(known_region);
    let sites = match root.take("site") {
        Some(entry) => site::sites(&entry, &surroundings).and_then(|sites| {
            let first = surroundings.first_domain();
            first
                .map(|domain| (sites, domain))
                .ok_or_else(|| entry.missing(NO_SITE, site::EXAMPLE_HINT))
        }),
        None => Err(diagnostics.report(Finding {
            kind: ConfigErrorKind::Missing,
            key: "site".to_owned(),
            span: 0..0,
            message: NO_SITE.to_owned(),
            label: None,
            hint: site::EXAMPLE_HINT.to_owned(),
            related: None,
        })),
    };
    let names = surroundings.check_names();
    let load_balancer = load_balancer::load_balancer(&mut root, &surroundings);
    let dns = dns::dns(&mut root);
    let prove = run::prove(&mut root);
    let lockdown = run::lockdown(&mut root);
    let state = state::state(&mut root);
    let adopt = root.or("adopt", BTreeSet::new(), |entry| {
        let stack = match (&sites, &load_balancer) {
            (Ok((sites, _)), Ok(load_balancer)) => Some(Stack {
                sites,
                http: load_balancer.http,
            }),
            _ => None,
        };
        adopt::adopt(entry, &surroundings, stack.as_ref())
    });
    root.finish();
    names?;
    let (sites, first_domain) = sites?;
    Ok(Config {
        name: name?.unwrap_or_else(|| checks::derived_stack_name(&first_domain)),
        account: account?,
        region: region?,
        profile: profile?,
        dns: dns?,
        tags: tags?,
        sites,
        load_balancer: load_balancer?,
        prove: prove?,
        lockdown: lockdown?,
        adopt: adopt?,
        state: state?,
    })
}
