//! Versions of plugins: found, checked off the record's path, handed to every
//! worker. Whatever fails leaves the running version as it is.

mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;

pub use watch::Watch;

use crate::admin::{Metrics, PluginStatus};
use crate::clock::wall_ms;
use crate::config;
use crate::error::HostError;
use crate::plugin::{Digest, Engine, Instance, Refused, Version};
use crate::task::{Plan, StagePlan, Versions};
use crate::worker::{Command, Swapped};

/// How long workers may take to answer besides a call's own timeout.
const ANSWER: Duration = Duration::from_secs(10);

/// Plugins as the admin API shows them, by name.
pub type PluginStatuses = Arc<DashMap<String, PluginStatus>>;

/// What a deployment came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Activated {
        digest: Digest,
        pause: Duration,
    },
    /// The same bytes as the running version.
    Unchanged,
}

/// Turns files into versions.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    plans: Arc<[Arc<Plan>]>,
    dir: PathBuf,
    max_size: u64,
}

impl Loader {
    pub fn new(engine: Engine, plans: Arc<[Arc<Plan>]>, plugins: &config::Plugins) -> Loader {
        Loader { engine, plans, dir: plugins.dir.clone(), max_size: plugins.max_size }
    }

    /// Names of all plugins that stages run, each once.
    pub fn plugins(&self) -> Vec<String> {
        let mut names: Vec<_> = self.stages().map(|stage| stage.scope.plugin.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn stages(&self) -> impl Iterator<Item = &Arc<StagePlan>> {
        self.plans.iter().flat_map(|plan| &plan.stages)
    }

    /// Where a plugin's component is expected.
    pub fn path(&self, plugin: &str) -> PathBuf {
        self.dir.join(format!("{plugin}.wasm"))
    }

    /// Loads every plugin, before the first worker starts.
    ///
    /// # Errors
    /// The first plugin that is missing or refused.
    pub fn load_all(&self) -> Result<Versions, HostError> {
        let load = |plugin: String| {
            let path = self.path(&plugin);
            let bytes = read(&path, self.max_size).map_err(|problem| HostError::PluginFile {
                plugin: plugin.clone(),
                path: path.clone(),
                problem,
            })?;
            let version = self.check(&plugin, &bytes).map_err(|refused| HostError::PluginRefused {
                plugin: plugin.clone(),
                path,
                refused: Box::new(refused),
            })?;
            Ok((plugin, Arc::new(version)))
        };
        self.plugins().into_iter().map(load).collect()
    }

    /// Compiles, and starts the version once for each stage that will run it,
    /// with that stage's configuration and an empty cache.
    pub fn check(&self, plugin: &str, bytes: &[u8]) -> Result<Version, Refused> {
        let started = Instant::now();
        let version = Version::compile(&self.engine, plugin, bytes, self.max_size)?;
        for stage in self.stages().filter(|stage| stage.scope.plugin == plugin) {
            Instance::new(&self.engine, &version, &stage.scope)
                .map_err(|failure| Refused::Start { stage: stage.scope.stage.clone(), reason: failure.to_string() })?;
        }
        let compiled_in = started.elapsed();
        tracing::info!(plugin, digest = version.digest().short(), bytes = bytes.len(), ?compiled_in, "plugin checked");
        Ok(version)
    }
}

/// The bytes of a plugin's file, or what is wrong with it and what to do.
fn read(path: &Path, max_size: u64) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "does not exist: put the plugin's component there, or correct `plugins.dir` or the stage's `plugin`"
                .to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let metadata = std::fs::metadata(path).map_err(told)?;
    if metadata.is_dir() {
        return Err("is a folder: put the component itself there".to_owned());
    }
    if metadata.len() > max_size {
        return Err(Refused::TooLarge { bytes: metadata.len(), limit: max_size }.to_string());
    }
    std::fs::read(path).map_err(told)
}

/// Replaces running versions.
pub struct Deployer {
    loader: Loader,
    workers: Vec<crossbeam_channel::Sender<Command>>,
    running: Versions,
    statuses: PluginStatuses,
    metrics: Metrics,
}

impl Deployer {
    pub fn new(
        loader: Loader,
        workers: Vec<crossbeam_channel::Sender<Command>>,
        running: Versions,
        statuses: PluginStatuses,
        metrics: Metrics,
    ) -> Deployer {
        Deployer { loader, workers, running, statuses, metrics }
    }

    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// Deploys what stands in the plugin's file, and tells the log, the metrics
    /// and the admin API how it went.
    pub fn deploy_file(&mut self, plugin: &str) {
        let path = self.loader.path(plugin);
        let outcome = read(&path, self.loader.max_size).and_then(|bytes| self.deploy(plugin, &bytes));
        let path = path.display();
        match outcome {
            Ok(Outcome::Unchanged) => {}
            Ok(Outcome::Activated { digest, pause }) => {
                tracing::info!(plugin, digest = digest.short(), ?pause, "a new version runs");
                self.metrics.swap(plugin, "activated");
                self.statuses.insert(plugin.to_owned(), running_status(plugin, digest));
            }
            Err(problem) => {
                tracing::error!(plugin, "{path} is not deployed, the running version goes on: {problem}");
                self.metrics.swap(plugin, "refused");
                if let Some(mut status) = self.statuses.get_mut(plugin) {
                    status.refused = Some(problem);
                }
            }
        }
    }

    /// # Errors
    /// Why the running version goes on, in one line.
    pub fn deploy(&mut self, plugin: &str, bytes: &[u8]) -> Result<Outcome, String> {
        let old = self.running.get(plugin).cloned().ok_or("no stage runs it")?;
        if Digest::of(bytes) == old.digest() {
            return Ok(Outcome::Unchanged);
        }
        let version = Arc::new(self.loader.check(plugin, bytes).map_err(|refused| refused.to_string())?);
        let answers = self.hand_over(&version);
        if let Some(refused) = answers.iter().find_map(|answer| answer.refused.clone()) {
            // Workers that swapped already go back, so that all run the same.
            self.hand_over(&old);
            self.metrics.swap(plugin, "rolled-back");
            return Err(format!("a worker could not start it: {refused}"));
        }
        answers.iter().for_each(|answer| self.metrics.swap_pause(plugin, answer.pause));
        self.running.insert(plugin.to_owned(), version.clone());
        let pause = answers.iter().map(|answer| answer.pause).max().unwrap_or_default();
        Ok(Outcome::Activated { digest: version.digest(), pause })
    }

    /// Every worker swaps between two records of its own.
    fn hand_over(&self, version: &Arc<Version>) -> Vec<Swapped> {
        let (answer, answers) = crossbeam_channel::unbounded();
        for worker in &self.workers {
            // A worker that has ended takes no more commands; the host is ending too.
            drop(worker.send(Command::Swap { version: version.clone(), answer: answer.clone() }));
        }
        drop(answer);
        let timeout = self.loader.stages().map(|stage| stage.scope.limits.timeout).max().unwrap_or_default();
        let deadline = Instant::now() + timeout * 2 + ANSWER;
        let mut swapped = Vec::with_capacity(self.workers.len());
        while let Ok(answer) = answers.recv_deadline(deadline) {
            swapped.push(answer);
        }
        if swapped.len() < self.workers.len() {
            let late = self.workers.len() - swapped.len();
            tracing::warn!(
                plugin = version.plugin(),
                late,
                "workers have not swapped yet; they will before their next record"
            );
        }
        swapped
    }
}

/// The admin API's view of a version that has just been activated.
pub fn running_status(plugin: &str, digest: Digest) -> PluginStatus {
    PluginStatus { plugin: plugin.to_owned(), digest: digest.to_string(), since: wall_ms(), refused: None }
}
