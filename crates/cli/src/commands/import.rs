//! `reconcile import`: takes over an object that others made.

use jiff::Timestamp;
use reconcile_core::{
    config::{Adoption, Config},
    import::{Takeover, adoption, takeover},
    plan::{Action, Goal, Seen},
    planner,
    resource::{Address, Kind},
};
use reconcile_engine::{StateStore, StopSignal};

use super::{
    carry_out::{Consent, Question, ask, carry_out},
    session::{self, Session},
};
use crate::{
    args::{CommonArgs, ImportArgs},
    error::{CommandError, Ended},
    output::{self, Shell},
    render::{self, clean},
};

/// Shows what taking over means, asks, and does it.
pub(super) async fn run(
    args: &ImportArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let mut config = session::read_config(&common.config)?;
    let adoption = adoption(&config, &args.place, &args.id)?;
    let visitor = session::visitor(common)?;
    let (store, _lock) = session::hold(&config, common, "import", stop).await?;
    let mut state = store.read(&config.name).await?;
    config.adopt.insert(adoption.clone());
    let (aws, observed) = session::look_at(&config, &state, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    // What stands in the way of the object itself is told before what stands in the way of a plan.
    let plan = planner::plan(&wherever_names_lead(&config), &observed, &state, Timestamp::now())?;
    let takeover = takeover(&config, &observed, &state, &adoption, &plan)?;
    output::print(&page(&config, &takeover, shell))?;
    if !args.yes {
        let question = Question::of(&format!(
            "Take `{}` over as {}?",
            clean(&takeover.id),
            clean(&takeover.address.to_string())
        ));
        match ask(question, shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) => return Err(why),
        }
    }
    match takeover.tagging.clone() {
        None => {
            takeover.record(&mut state, &observed.identity, Timestamp::now());
            store.save(&state).await?;
        }
        Some(tagging) => {
            let session = Session {
                goal: Goal::Apply { until: None },
                seen: Seen::new(),
                findings: Vec::new(),
                config,
                aws,
                identity: observed.identity,
                state,
                plan: tagging,
                cut: None,
            };
            carry_out(&session, &visitor, &store, common, shell, stop).await?;
        }
    }
    output::tell(&done(&takeover.address, takeover.step.is_some()));
    Ok(Ended::Well)
}

/// The configuration for judging one object: where the names lead decides about later plans, and the load balancer that
/// they lead to may be the next one to be taken over.
fn wherever_names_lead(config: &Config) -> Config {
    let mut config = config.clone();
    let records = config.addresses(Kind::AliasRecord).unwrap_or_default();
    config.adopt.extend(records.into_iter().map(|address| Adoption {
        id: address.key().to_owned(),
        address: Some(address),
    }));
    config
}

fn page(config: &Config, takeover: &Takeover, shell: &Shell) -> String {
    let mut lines = vec![
        format!(
            "{} of the stack {} becomes",
            clean(&takeover.address.to_string()),
            config.name
        ),
        format!("  {}", clean(&takeover.id)),
        String::new(),
    ];
    lines.push(if takeover.tagging.is_some() {
        "Now: its tags mark it as the stack's, and the state records it. It is deleted with the stack from then on."
            .to_owned()
    } else {
        "Now: the state records it. AWS is not changed.".to_owned()
    });
    match &takeover.step {
        Some(step) => {
            lines.push("With the next `reconcile apply`, and shown by the next plan:".to_owned());
            lines.push(String::new());
            lines.extend(render::step_lines(step, None, Timestamp::now(), shell.paint()));
            if matches!(step.action, Action::Replace { .. }) {
                lines.push(String::new());
                lines.push(
                    "AWS cannot change that in place, so a successor is made and this object is deleted. To keep it, change \
                     the configuration to what it is."
                        .to_owned(),
                );
            }
        }
        None => lines.push("It is as configured already.".to_owned()),
    }
    lines.join("\n") + "\n"
}

fn done(address: &Address, differs: bool) -> String {
    let address = clean(&address.to_string());
    if differs {
        format!("\nTook over {address}. `reconcile plan` shows what still differs from the configuration.\n")
    } else {
        format!("\nTook over {address}.\n")
    }
}
