//! The examples that pages show: a configuration, records, and what comes out of them.

use std::fs;
use std::path::Path;

use super::author::{author, path, text};

/// What goes around a stage's settings that a plugin's README shows.
const STAGE: &str = "[[pipeline]]\nname = \"main\"\nsource = \"source\"\nsink = \"sink\"\n[[pipeline.stage]]\n";
const HOST: &str = "app = \"example\"\n[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:9\"\n";

/// Of a page: fenced blocks of `toml`, `jsonl in` and `jsonl out`, in this order.
pub struct Example {
    /// Where its records begin, from 1.
    pub line: usize,
    pub config: String,
    records: String,
    expected: String,
}

/// The examples of a page in its order; one without a configuration has that of the one before.
pub fn examples(page: &str) -> Vec<Example> {
    let (mut examples, mut config, mut records) = (Vec::new(), String::new(), (0, String::new()));
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let block: String = block.flat_map(|line| [line, "\n"]).collect();
        match kind {
            "toml" => config = block,
            "jsonl in" => records = (at + 1, block),
            "jsonl out" => {
                let (line, records) = std::mem::take(&mut records);
                examples.push(Example { line, config: config.clone(), records, expected: block });
            }
            _ => {}
        }
    }
    examples
}

impl Example {
    /// As a whole configuration, whose plugins are in `components`.
    fn configuration(&self, plugin: Option<&str>, components: &Path) -> String {
        let plugins = format!("[plugins]\ndir = {:?}\n", path(components));
        match plugin {
            None => format!("{HOST}{plugins}{}", self.config),
            Some(plugin) => format!("{HOST}{plugins}{STAGE}plugin = {plugin:?}\n{}", self.config),
        }
    }

    /// Puts the records through the stage of a README, or through the page's own pipeline,
    /// by `gregor plugin test`. What is wrong, if anything is.
    pub fn run(&self, plugin: Option<&str>, components: &Path) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("written");
            path(&file).to_owned()
        };
        let config = file("gregor.toml", &self.configuration(plugin, components));
        let records = file("in.jsonl", &self.records);
        let expected = file("out.jsonl", &self.expected);
        let output = author(&["test", "--config", &config, "--records", &records, "--expect", &expected]);
        match output.status.code() {
            Some(0) => Ok(()),
            _ => Err(format!("the example at line {}: {}{}", self.line, text(&output.stdout), text(&output.stderr))),
        }
    }
}
