//! What a host asks the brokers at start.

use std::collections::HashMap;
use std::sync::Arc;

use super::HostError;
use crate::config::Config;
use crate::kafka::topics::{self, Topics};
use crate::plan::Plan;
use crate::state::changelog::{self, Changelog, Wanted};

/// Asks the brokers about every topic that `plans` name, and creates or checks
/// the changelog topics.
///
/// # Errors
/// [`HostError::Brokers`] where a topic is missing or cannot be used, or no broker
/// answers; [`HostError::Changelog`] where a changelog cannot be.
pub fn discover(config: &Config, plans: &[Arc<Plan>]) -> Result<(Topics, Vec<Changelog>), HostError> {
    let partitions = topics::partitions(config, plans)?;
    changelog::check_names(config)?;
    let changelogs = changelog::ensure(config, &wanted(plans, &partitions))?;
    let kept = changelogs.iter().map(|changelog| (changelog.topic.as_str(), changelog.max_batch_bytes));
    Ok((topics::describe_all(config, plans, partitions, kept)?, changelogs))
}

/// The changelogs that stages keep, with as many partitions as their sources.
fn wanted(plans: &[Arc<Plan>], partitions: &HashMap<Arc<str>, i32>) -> Vec<Wanted> {
    let of_plan = |plan: &Arc<Plan>| {
        let (source, partitions) = (plan.source.to_string(), partitions.get(&plan.source).copied().unwrap_or_default());
        let kept = plan.stages.iter().filter_map(|stage| Some((stage, stage.changelog.as_ref()?)));
        let wanted = kept.map(move |(stage, topic)| Wanted {
            topic: topic.to_string(),
            pipeline: stage.scope.pipeline.clone(),
            stage: stage.scope.stage.clone(),
            source: source.clone(),
            partitions,
            replication: stage.state.replication_factor.map_or(-1, i32::from),
            max_value: stage.state.max_value,
        });
        wanted.collect::<Vec<_>>()
    };
    plans.iter().flat_map(of_plan).collect()
}
