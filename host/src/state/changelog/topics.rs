//! Names of changelog topics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::ChangelogError;
use crate::config::{Config, Pipeline};
use crate::plan::changelog_topic;

/// Whether every stage with a changelog has a topic of its own: names with
/// hyphens can be joined to the same name, and a pipeline can name any topic.
///
/// # Errors
/// [`ChangelogError::Shared`], [`ChangelogError::Taken`].
pub fn check_names(config: &Config) -> Result<(), ChangelogError> {
    let mut stages: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for pipeline in &config.pipelines {
        for stage in pipeline.stages.iter().filter(|stage| stage.state.changelog) {
            let here = (&*pipeline.name, &*stage.name);
            match stages.entry(changelog_topic(&config.app, here.0, here.1)) {
                Entry::Vacant(free) => {
                    free.insert(here);
                }
                Entry::Occupied(taken) => {
                    let place = |(pipeline, stage)| format!("`{stage}` of pipeline `{pipeline}`");
                    return Err(ChangelogError::Shared {
                        topic: taken.key().clone(),
                        first: place(*taken.get()),
                        second: place(here),
                    });
                }
            }
        }
    }
    for pipeline in &config.pipelines {
        for (role, topic) in named(pipeline) {
            if let Some((owner, stage)) = stages.get(topic) {
                return Err(ChangelogError::Taken {
                    topic: topic.to_owned(),
                    role,
                    pipeline: pipeline.name.clone(),
                    owner: format!("`{stage}` of pipeline `{owner}`"),
                });
            }
        }
    }
    Ok(())
}

/// The topics that a pipeline reads or writes, with what each is to it.
fn named(pipeline: &Pipeline) -> impl Iterator<Item = (&'static str, &str)> {
    let further = pipeline.stages.iter().flat_map(|stage| &stage.topics);
    std::iter::once(("source", &*pipeline.source))
        .chain(pipeline.sink.as_deref().map(|topic| ("sink", topic)))
        .chain(pipeline.dead_letter.as_deref().map(|topic| ("dead-letter topic", topic)))
        .chain(further.map(|topic| ("output topic", &**topic)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A configuration whose stages all have changelogs.
    fn config(pipelines: &[(&str, &str)], sink: &str) -> Config {
        let head = "app = \"app\"\n[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n".to_owned();
        let text = pipelines.iter().fold(head, |text, (pipeline, stage)| {
            text + &format!(
                "[[pipeline]]\nname = \"{pipeline}\"\nsource = \"in\"\nsink = \"{sink}\"\n\
                 [[pipeline.stage]]\nplugin = \"{stage}\"\n"
            )
        });
        let mut config = Config::parse(&text, "test", Path::new(""), [], &|_, _| Ok(())).unwrap();
        config.pipelines.iter_mut().flat_map(|p| &mut p.stages).for_each(|stage| stage.state.changelog = true);
        config
    }

    #[test]
    fn stages_whose_topics_would_be_one_are_refused() {
        assert!(check_names(&config(&[("a", "b"), ("b", "a")], "out")).is_ok());
        let error = check_names(&config(&[("a-b", "c"), ("a", "b-c")], "out")).unwrap_err().to_string();
        assert!(error.contains("`c` of pipeline `a-b`") && error.contains("`b-c` of pipeline `a`"), "{error}");
        assert!(error.contains("app-a-b-c-changelog"), "{error}");
    }

    #[test]
    fn a_stage_without_a_changelog_takes_no_name() {
        let mut config = config(&[("a-b", "c"), ("a", "b-c")], "out");
        config.pipelines[0].stages[0].state.changelog = false;
        assert!(check_names(&config).is_ok());
    }

    #[test]
    fn a_changelog_that_is_an_output_too_is_refused() {
        let error = check_names(&config(&[("a", "b")], "app-a-b-changelog")).unwrap_err().to_string();
        assert!(error.contains("sink of pipeline `a`") && error.contains("`b` of pipeline `a`"), "{error}");
    }
}
