//! The pipeline that records are put through: one of a configuration, or stages as an
//! author would write them.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::kafka;

/// The name of a pipeline that no configuration has.
pub const NAME: &str = "test";

/// What each stage of it is given.
#[derive(Default)]
pub struct Stages<'a> {
    pub settings: &'a [(String, String)],
    pub topics: &'a [String],
    pub max_out_of_orderness: Option<&'a str>,
    pub idle_timeout: Option<&'a str>,
}

impl Stages<'_> {
    /// A configuration with `components` for the stages of its pipeline [`NAME`].
    ///
    /// # Errors
    /// When what the stages are given is not what a configuration takes.
    pub fn written(&self, components: &[PathBuf]) -> anyhow::Result<Config> {
        let text = |text: &str| toml::Value::from(text).to_string();
        let topics: Vec<String> = self.topics.iter().map(|topic| text(topic)).collect();
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{} = {}", text(name), text(value))).collect();
        let mut document = format!(
            "app = \"gregor-test\"\n[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n\
             [[pipeline]]\nname = {}\nsource = \"records\"\nsink = \"output\"\n",
            text(NAME)
        );
        for (name, value) in [("max-out-of-orderness", self.max_out_of_orderness), ("idle-timeout", self.idle_timeout)]
        {
            if let Some(value) = value {
                document.push_str(&format!("{name} = {}\n", text(value)));
            }
        }
        for (index, component) in components.iter().enumerate() {
            let plugin = component.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
            let twice = components[..index].iter().any(|before| before.file_stem() == component.file_stem());
            let name = if twice { format!("{plugin}-{}", index + 1) } else { plugin.clone() };
            document.push_str(&format!(
                "[[pipeline.stage]]\nname = {}\nplugin = {}\nlog = \"trace\"\ntopics = [{}]\nconfig = {{ {} }}\n",
                text(&name),
                text(&plugin),
                topics.join(", "),
                settings.join(", "),
            ));
        }
        Ok(Config::parse(&document, "the stages", Path::new("."), [], &kafka::check_property)?)
    }
}

/// The configuration in `file`, and the name of its pipeline that is `wanted`, else of its
/// first. `components` become the stages': where none are given, those of its folder.
///
/// # Errors
/// When the file is no configuration; inside, that it has no such pipeline or stages.
pub fn configured(
    file: &Path,
    wanted: Option<&str>,
    components: &mut Vec<PathBuf>,
) -> anyhow::Result<Result<(Config, String), String>> {
    let config = crate::cli::load(file)?;
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    let Some(pipeline) = config.pipelines.iter().find(|pipeline| is_wanted(&pipeline.name)) else {
        return Ok(Err(format!("{} has no pipeline {:?}", file.display(), wanted.unwrap_or_default())));
    };
    if components.is_empty() {
        let file = |plugin: &str| config.plugins.dir.join(format!("{plugin}.wasm"));
        components.extend(pipeline.stages.iter().map(|stage| file(&stage.plugin)));
    }
    if components.len() != pipeline.stages.len() {
        let (given, stages) = (components.len(), pipeline.stages.len());
        return Ok(Err(format!("{given} plugins are named, and pipeline {:?} has {stages} stages", pipeline.name)));
    }
    let name = pipeline.name.clone();
    Ok(Ok((config, name)))
}
