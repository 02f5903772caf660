//! Turns files into versions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::capabilities;
use super::refusal::Refusal;
use super::signature::Trusted;
use crate::config;
use crate::files::foreign::{self, ForeignError};
use crate::observe::Metrics;
use crate::plan::{Plan, StagePlan};
use crate::plugin::{CodeFolder, Digest, Engine, Failure, Instance, Outline, Refused, Version};

/// How long workers may take to answer besides a call's own timeout.
const ANSWER: Duration = Duration::from_secs(10);

/// Checks, compiles and tries versions, off the record's path.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    plans: Arc<[Arc<Plan>]>,
    dir: PathBuf,
    max_size: u64,
    trusted: Trusted,
    code: Arc<CodeFolder>,
    metrics: Metrics,
}

/// What a version is measured by besides itself.
#[derive(Clone, Copy)]
pub enum Grant<'a> {
    /// What the version before it imports; more only where it is approved.
    Before { imports: &'a BTreeSet<String>, approved: bool },
    /// Whatever this host offers: no version was before it, or it has run already.
    All,
}

/// A version that may be activated.
pub struct Checked {
    pub version: Arc<Version>,
    /// Interfaces that the version before does not import.
    pub approved: Vec<String>,
}

impl Loader {
    pub fn new(
        engine: Engine,
        plans: Arc<[Arc<Plan>]>,
        plugins: &config::Plugins,
        code: CodeFolder,
        metrics: Metrics,
    ) -> Loader {
        let trusted = Trusted::new(&plugins.trusted_keys);
        let code = Arc::new(code);
        Loader { engine, plans, dir: plugins.dir.clone(), max_size: plugins.max_size, trusted, code, metrics }
    }

    /// Names of all plugins that stages run, each once.
    pub fn plugins(&self) -> Vec<String> {
        let mut names: Vec<_> = self.plans.iter().flat_map(|plan| &plan.stages).map(plugin_of).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The stages that run `plugin`.
    pub fn stages(&self, plugin: &str) -> impl Iterator<Item = &Arc<StagePlan>> {
        self.plans.iter().flat_map(|plan| &plan.stages).filter(move |stage| stage.scope.plugin == plugin)
    }

    /// The watched folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a plugin's component is expected.
    pub fn path(&self, plugin: &str) -> PathBuf {
        self.dir.join(format!("{plugin}.wasm"))
    }

    /// The compiled code of all versions.
    pub fn code(&self) -> &CodeFolder {
        &self.code
    }

    /// How long a worker may take to swap to `version`.
    pub fn patience(&self, version: &Version) -> Duration {
        let stages = || self.stages(version.plugin());
        let timeout = stages().map(|stage| stage.scope.limits.timeout).max().unwrap_or_default();
        let migration = stages().map(|stage| stage.migrate_timeout).max().filter(|_| version.migrates());
        timeout * 2 + migration.unwrap_or_default() + ANSWER
    }

    /// The bytes of a plugin's file.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn read(&self, plugin: &str) -> Result<Vec<u8>, Refusal> {
        foreign::read(&self.path(plugin), self.max_size).map_err(|error| match error {
            ForeignError::TooLarge { bytes, limit } => Refused::TooLarge { bytes, limit }.into(),
            ForeignError::Missing => Refusal::File(
                "does not exist: put the plugin's component there, or correct `plugins.dir` or the stage's `plugin`"
                    .to_owned(),
            ),
            error @ ForeignError::NotRegular(_) => Refusal::File(format!("{error}: put the component itself there")),
            error @ ForeignError::Unreadable(_) => Refusal::File(error.to_string()),
        })
    }

    /// Whether a plugin's file may be whole: one that is still being written has
    /// no end yet, or no valid signature.
    pub fn may_be_whole(&self, bytes: &[u8]) -> bool {
        // Nothing that nobody trusted has signed is parsed.
        self.trusted.check(bytes).is_ok() && Outline::read(bytes, self.max_size).is_ok()
    }

    /// Checks what `bytes` are and may be before anything is spent on them,
    /// compiles them, and starts the version once for each stage that will run
    /// it, with that stage's configuration and an empty cache.
    ///
    /// # Errors
    /// Why they are no version of the plugin.
    pub fn check(&self, plugin: &str, bytes: &[u8], grant: Grant<'_>) -> Result<Checked, Refusal> {
        let started = Instant::now();
        // Nothing that nobody trusted has signed is parsed.
        Outline::check_bytes(bytes, self.max_size)?;
        self.trusted.check(bytes)?;
        let outline = Outline::read(bytes, self.max_size)?;
        for stage in self.stages(plugin) {
            outline.check_memory(stage.scope.limits.memory, || memory_of(stage))?;
        }
        let approved = match grant {
            Grant::All => Vec::new(),
            Grant::Before { imports, approved } => capabilities::check(&outline.interfaces(), imports, approved)?,
        };
        let digest = Digest::of(bytes);
        let (component, source) = self.code.component(digest, bytes)?;
        let version = Version::new(&self.engine, plugin, digest, &outline, &component)?;
        for stage in self.stages(plugin) {
            Instance::new(&self.engine, &version, &stage.scope).map_err(|failure| match failure {
                Failure::Memory { asked, limit } => Refused::Memory { asked, limit, key: memory_of(stage) },
                failure => Refused::Start { stage: stage.scope.stage.clone(), reason: failure.to_string() },
            })?;
        }
        self.metrics.load(source.name());
        let (code, checked_in) = (source.name(), started.elapsed());
        tracing::info!(plugin, digest = digest.short(), bytes = bytes.len(), code, ?checked_in, "plugin checked");
        Ok(Checked { version: Arc::new(version), approved })
    }
}

fn memory_of(stage: &StagePlan) -> String {
    format!("`memory` of stage {}", stage.scope.stage)
}

fn plugin_of(stage: &Arc<StagePlan>) -> String {
    stage.scope.plugin.clone()
}
