//! A host's folder: its configuration and its plugins.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::host::{Host, data_dir};
use super::kafka::kafka;
use super::names::unique;
use super::plugins::plugin;

/// A folder with `gregor.toml` and `plugins/`, from which any number of hosts
/// of one group may run.
pub struct Setup {
    dir: TempDir,
    /// The app's name, and so the group's.
    pub app: String,
    bootstrap: String,
    workers: usize,
    host: Vec<String>,
    kafka: Vec<String>,
    delivery: Vec<String>,
    plugins: Vec<String>,
    redis: Option<String>,
    pipelines: Vec<Pipeline>,
}

/// A `[[pipeline]]` of the configuration.
#[derive(Clone)]
pub struct Pipeline {
    lines: Vec<String>,
    stages: Vec<Stage>,
}

/// A `[[pipeline.stage]]` of the configuration.
#[derive(Clone)]
pub struct Stage {
    plugin: String,
    lines: Vec<String>,
}

impl Setup {
    /// Two workers, no pipelines yet.
    pub fn new() -> Setup {
        let dir = tempfile::Builder::new().prefix("gregor-test-").tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("plugins")).expect("a folder for plugins");
        Setup {
            dir,
            app: unique(),
            bootstrap: kafka().bootstrap().to_owned(),
            workers: 2,
            host: Vec::new(),
            kafka: Vec::new(),
            delivery: Vec::new(),
            plugins: Vec::new(),
            redis: None,
            pipelines: Vec::new(),
        }
    }

    pub fn app(self, app: &str) -> Setup {
        Setup { app: app.to_owned(), ..self }
    }

    pub fn workers(self, workers: usize) -> Setup {
        Setup { workers, ..self }
    }

    /// Another broker than the tests' own.
    pub fn bootstrap(self, servers: &str) -> Setup {
        Setup { bootstrap: servers.to_owned(), ..self }
    }

    /// A line of `[host]`; `value` as TOML.
    pub fn host(mut self, key: &str, value: &str) -> Setup {
        self.host.push(format!("{key} = {value}"));
        self
    }

    /// A property of `[kafka]`, in the place of one of that name.
    pub fn kafka(mut self, property: &str, value: &str) -> Setup {
        self.kafka.retain(|line| !line.starts_with(&format!("{property:?} = ")));
        self.kafka.push(format!("{property:?} = {value:?}"));
        self
    }

    /// Leaves a property of `[kafka]` to the client.
    pub fn without_kafka(mut self, property: &str) -> Setup {
        self.kafka.retain(|line| !line.starts_with(&format!("{property:?} = ")));
        self
    }

    /// A line of `[delivery]`; `value` as TOML.
    pub fn delivery(mut self, key: &str, value: &str) -> Setup {
        self.delivery.push(format!("{key} = {value}"));
        self
    }

    /// A line of `[plugins]`; `value` as TOML.
    pub fn plugins(mut self, key: &str, value: &str) -> Setup {
        self.plugins.push(format!("{key} = {value}"));
        self
    }

    /// Where Redis is.
    pub fn redis(self, url: &str) -> Setup {
        Setup { redis: Some(url.to_owned()), ..self }
    }

    /// Adds a pipeline, and the plugins of its stages to `plugins/` where they
    /// are the host's own or guests and not there yet.
    pub fn pipeline(mut self, pipeline: Pipeline) -> Setup {
        for stage in &pipeline.stages {
            if !self.plugin_file(&stage.plugin).exists() {
                self.put(&stage.plugin, &plugin(&stage.plugin));
            }
        }
        self.pipelines.push(pipeline);
        self
    }

    /// `plugins/<name>.wasm` will hold `bytes`, whatever they are.
    pub fn plugin(self, name: &str, bytes: &[u8]) -> Setup {
        self.put(name, bytes);
        self
    }

    /// Puts `bytes` in place of a plugin's file, as one rename.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.path().join("plugins").join(format!("{name}.new"));
        fs::write(&new, bytes).expect("the folder takes a file");
        fs::rename(&new, self.plugin_file(name)).expect("the folder takes a rename");
    }

    /// A plugin's file was last written so long ago.
    pub fn age(&self, name: &str, age: Duration) {
        let file = fs::File::options().write(true).open(self.plugin_file(name)).expect("the plugin's file");
        file.set_modified(SystemTime::now() - age).expect("its time can be set");
    }

    pub fn plugin_file(&self, name: &str) -> PathBuf {
        self.path().join("plugins").join(format!("{name}.wasm"))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes `gregor.toml`; its path.
    pub fn write(&self) -> PathBuf {
        let path = self.path().join("gregor.toml");
        fs::write(&path, self.text()).expect("the folder takes a file");
        path
    }

    /// The configuration as TOML.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("app = {:?}", self.app), "[kafka]".to_owned()];
        lines.push(format!("\"bootstrap.servers\" = {:?}", self.bootstrap));
        lines.extend(self.kafka.iter().cloned());
        lines.push("[host]".to_owned());
        for (key, default) in [("admin", "\"127.0.0.1:0\"".to_owned()), ("workers", self.workers.to_string())] {
            if !self.host.iter().any(|line| line.starts_with(&format!("{key} = "))) {
                lines.push(format!("{key} = {default}"));
            }
        }
        lines.extend(self.host.iter().cloned());
        lines.push("[delivery]".to_owned());
        lines.extend(self.delivery.iter().cloned());
        lines.push("[plugins]".to_owned());
        lines.extend(self.plugins.iter().cloned());
        if let Some(url) = &self.redis {
            lines.extend(["[redis]".to_owned(), format!("url = {url:?}")]);
        }
        for pipeline in &self.pipelines {
            lines.push("[[pipeline]]".to_owned());
            lines.extend(pipeline.lines.iter().cloned());
            for stage in &pipeline.stages {
                lines.push("[[pipeline.stage]]".to_owned());
                lines.push(format!("plugin = {:?}", stage.plugin));
                lines.extend(stage.lines.iter().cloned());
            }
        }
        lines.join("\n") + "\n"
    }

    /// Starts a host named `one` and waits until it is ready.
    pub fn start(&self) -> Host {
        self.start_as("one")
    }

    /// Starts a host named `id` and waits until it is ready.
    pub fn start_as(&self, id: &str) -> Host {
        let host = self.spawn_as(id, &[]);
        host.wait_until_ready();
        host
    }

    /// Starts a host with more arguments of `gregor run`, without waiting.
    pub fn spawn_as(&self, id: &str, arguments: &[&str]) -> Host {
        Host::spawn(&self.write(), id, arguments)
    }

    /// As [`Setup::spawn_as`], for a host that aborts at a step of one of its
    /// commits, as GREGOR_CRASH_AT names it: `committed:2`.
    #[cfg(debug_assertions)]
    pub fn spawn_to_crash(&self, id: &str, step: &str) -> Host {
        Host::spawn_with(&self.write(), id, &[], &[("GREGOR_CRASH_AT", step)])
    }

    /// The host `one` finds none of the code that hosts of other tests compiled.
    pub fn with_nothing_compiled(self) -> Setup {
        let folder = self.data("one").join("compiled");
        DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a folder of the host");
        self
    }

    /// What the host `id` keeps on its disk.
    pub fn data(&self, id: &str) -> PathBuf {
        self.path().join(data_dir(id))
    }

    /// Deletes what the host `id` has on its disk: its next one is another machine.
    pub fn lose_data(&self, id: &str) {
        let folder = self.path().join(data_dir(id));
        if folder.exists() {
            fs::remove_dir_all(folder).expect("the folder can be deleted");
        }
    }

    /// Runs a host up to the ends of its sources, which must succeed; its log.
    #[track_caller]
    pub fn run_bounded(&self) -> String {
        let mut host = self.spawn_as("one", &["--bounded"]);
        let code = host.wait_exit();
        assert_eq!(code, Some(0), "the bounded run failed");
        host.log()
    }

    /// Runs a host that is not to come up; its exit code and what it wrote to
    /// standard error.
    pub fn run_refused(&self) -> (Option<i32>, String) {
        let mut host = self.spawn_as("one", &[]);
        let code = host.wait_exit();
        (code, host.log())
    }
}

impl Pipeline {
    /// A pipeline named after its source.
    pub fn new(source: &str) -> Pipeline {
        Pipeline::named("main", source)
    }

    pub fn named(name: &str, source: &str) -> Pipeline {
        Pipeline { lines: vec![format!("name = {name:?}"), format!("source = {source:?}")], stages: Vec::new() }
    }

    pub fn sink(self, topic: &str) -> Pipeline {
        self.set("sink", &format!("{topic:?}"))
    }

    pub fn dead_letter(self, topic: &str) -> Pipeline {
        self.set("dead-letter", &format!("{topic:?}"))
    }

    /// Outputs carry headers that name their source, worker and versions.
    pub fn provenance(self) -> Pipeline {
        self.set("provenance", "true")
    }

    /// A line of the pipeline; `value` as TOML.
    pub fn set(mut self, key: &str, value: &str) -> Pipeline {
        self.lines.push(format!("{key} = {value}"));
        self
    }

    pub fn stage(mut self, stage: Stage) -> Pipeline {
        self.stages.push(stage);
        self
    }
}

impl Stage {
    pub fn new(plugin: &str) -> Stage {
        Stage { plugin: plugin.to_owned(), lines: Vec::new() }
    }

    /// A line of the stage; `value` as TOML: `set("on-failure", "\"skip\"")`.
    pub fn set(mut self, key: &str, value: &str) -> Stage {
        self.lines.push(format!("{key} = {value}"));
        self
    }
}

/// Runs `gregor` with `arguments` to its end.
pub fn gregor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(arguments)
        .env_remove("GREGOR_CONFIG")
        .env_remove("GREGOR_LOG")
        .output()
        .expect("the binary runs")
}
