//! `reconcile status`: how every resource is, and whether the certificates will be renewed. Changes nothing, in AWS or on
//! disk, and so takes no lock.

use jiff::Timestamp;
use reconcile_core::{
    check::Verdict,
    config::Config,
    observed::{Observed, RecordSet},
    planner,
    resource::{Address, Kind, Ref, Spec, ValidationRecord},
    state::State,
    status::{self, Report, World},
};
use reconcile_engine::{Cloud, StopSignal};

use super::session;
use crate::{
    args::{CommonArgs, Format, StatusArgs},
    error::{CommandError, Ended},
    output::{self, Shell},
    render,
    visit::SiteVisitor,
};

/// Looks at everything and prints how it is.
pub(super) async fn run(
    args: &StatusArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let visitor = session::visitor(common)?;
    let (store, state) = session::recorded(&config, common, stop).await?;
    let report = tokio::select! {
        report = look(&config, &state, &visitor) => report.map_err(|error| error.about(&store.place()))?,
        () = stop.raised() => return Err(session::interrupted()),
    };
    let text = match args.format {
        Format::Text => render::status(&report, shell.paint()),
        Format::Json => render::json(&report)?,
    };
    output::print(&text)?;
    let least = if args.strict {
        Verdict::Warning
    } else {
        Verdict::Failure
    };
    Ok(if args.check && report.verdict >= least {
        Ended::ChecksFailed
    } else {
        Ended::Well
    })
}

async fn look(config: &Config, state: &State, visitor: &SiteVisitor) -> Result<Report, CommandError> {
    let aws = session::connect(config).await?;
    let mut observed = aws.observe(&planner::query(config, state)).await?;
    session::check(config, state, &observed.identity)?;
    let questions = status::questions(config, &observed, state);
    let (found, outside) = tokio::join!(read_all(&aws, &questions.unlisted), visitor.outside(&questions));
    add(&mut observed, found?);
    let now = Timestamp::now();
    let plan = planner::plan(config, &observed, state, now);
    Ok(status::judge(&World {
        config,
        observed: &observed,
        state,
        plan: plan.as_ref(),
        outside: &outside,
        now,
    }))
}

/// Reads validation records one by one.
async fn read_all(aws: &impl Cloud, records: &[ValidationRecord]) -> Result<Vec<ValidationRecord>, CommandError> {
    let mut found = Vec::new();
    for record in records {
        let address = Address::new(Kind::ValidationRecord, record.name.to_string());
        let spec = Spec::ValidationRecord(record.clone());
        if let Some(actual) = aws.read(&address, "", &spec).await?
            && let Spec::ValidationRecord(standing) = actual.spec
        {
            found.push(standing);
        }
    }
    Ok(found)
}

/// Puts records that were read on their own among the observed ones.
fn add(observed: &mut Observed, records: Vec<ValidationRecord>) {
    observed.record_sets.extend(records.into_iter().filter_map(|record| {
        let (Ref::Known(name), Ref::Known(value)) = (&record.name, &record.value) else {
            return None;
        };
        Some(RecordSet {
            zone: record.zone.clone(),
            name: name.parse().ok()?,
            record_type: "CNAME".to_owned(),
            ttl: None,
            values: vec![value.clone()],
            alias: None,
            set_identifier: None,
            traffic_policy_instance: None,
        })
    }));
}
