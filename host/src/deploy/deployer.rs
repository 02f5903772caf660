//! Replaces the running version of a plugin.

mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{History, Kept};
use super::loader::{Checked, Grant, Loader};
use super::probation::{Probation, Verdict};
use super::start::Started;
use super::workers::Workers;
use super::{Outcome, PluginStatuses, Refusal, Request};
use crate::clock::wall_ms;
use crate::config;
use crate::observe::Calls;
use crate::observe::Metrics;
use crate::observe::audit::{self, Action, Audit, Who};
use crate::plugin::Digest;
use crate::task::{InForce, Ran, Versions};
use crate::worker::{Awaited, Swapped};

pub struct Deployer {
    loader: Loader,
    workers: Workers,
    running: Versions,
    /// Versions of other hosts that partitions wait for.
    awaited: Arc<Awaited>,
    statuses: PluginStatuses,
    metrics: Metrics,
    audit: Audit,
    history: History,
    probation: config::Probation,
    /// Files that were refused at start: looked at once more, not told again.
    refused_at_start: HashMap<String, Digest>,
    /// Versions whose first records are watched, by plugin.
    watched: HashMap<String, Probation>,
    /// The calls of each plugin when its running version came into force.
    calls_at_start: HashMap<String, Calls>,
}

/// A change of versions that passed all checks.
struct Change<'a> {
    action: Action,
    who: Who,
    checked: Checked,
    bytes: &'a [u8],
    reason: Option<String>,
}

impl Deployer {
    pub fn new(
        started: Started,
        loader: Loader,
        workers: Workers,
        awaited: Arc<Awaited>,
        statuses: PluginStatuses,
        metrics: Metrics,
        probation: config::Probation,
    ) -> Deployer {
        let Started { versions: running, refused: refused_at_start, audit, history } = started;
        Deployer {
            loader,
            workers,
            running,
            awaited,
            statuses,
            metrics,
            audit,
            history,
            probation,
            refused_at_start,
            watched: HashMap::new(),
            calls_at_start: HashMap::new(),
        }
    }

    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// Does what the admin API asks.
    pub fn answer(&mut self, request: Request) {
        match request {
            Request::Deploy { plugin, bytes, approved, who, answer } => {
                let outcome = self.offer(&plugin, who, bytes, approved);
                // Nobody waits any more where the connection is gone.
                let _ = answer.send(outcome);
            }
            Request::RollBack { plugin, to, who, answer } => {
                let outcome = self.roll_back(&plugin, to.as_deref(), who, None);
                let _ = answer.send(outcome);
            }
        }
    }

    /// Deploys what was read from the plugin's file, unless that was there already
    /// when a version last came into force by another way.
    pub fn deploy_file(&mut self, plugin: &str, bytes: Result<Vec<u8>, Refusal>) {
        if let (Ok(bytes), Ok(index)) = (&bytes, self.history.of(plugin)) {
            let digest = Digest::of(bytes);
            if self.refused_at_start.remove(plugin) == Some(digest) {
                return;
            }
            let runs = self.running.get(plugin).is_some_and(|running| running.version.digest() == digest);
            if !runs && index.passed_over == Some(digest) {
                let digest = digest.short();
                tracing::info!(
                    plugin,
                    digest,
                    "the file in the folder was replaced by a rollback or a deploy and stays out of force; \
                     `gregor plugin deploy FILE` brings it back"
                );
                return;
            }
        }
        // Told in the log, the metrics, the API and the audit log by then.
        let _ = self.offer(plugin, Who::Folder, bytes, false);
    }

    /// Deploys `bytes`, and tells everyone how it went.
    ///
    /// # Errors
    /// Why the running version goes on.
    pub fn offer(
        &mut self,
        plugin: &str,
        who: Who,
        bytes: Result<Vec<u8>, Refusal>,
        approved: bool,
    ) -> Result<Outcome, Refusal> {
        let new = bytes.as_ref().ok().map(|bytes| Digest::of(bytes));
        let outcome = bytes.and_then(|bytes| {
            let old = self.running(plugin)?.version;
            // Someone who deploys it again, while partitions wait for another, says that it is the newer one.
            let again = matches!(who, Who::Api(_)) && !self.awaited.of(plugin).is_empty();
            if new == Some(old.digest()) && !again {
                self.pass_over(plugin, who, old.digest());
                return Ok(Outcome::Unchanged(old.digest()));
            }
            let grant = Grant::Before { imports: old.interfaces(), approved };
            let checked = self.loader.check(plugin, &bytes, grant)?;
            self.activate(plugin, Change { action: Action::Deploy, who, checked, bytes: &bytes, reason: None })
        });
        self.told(plugin, Action::Deploy, who, new, outcome)
    }

    /// Brings an earlier version back, for `reason` where there is one.
    ///
    /// # Errors
    /// Why the running version goes on.
    pub fn roll_back(
        &mut self,
        plugin: &str,
        to: Option<&str>,
        who: Who,
        reason: Option<String>,
    ) -> Result<Outcome, Refusal> {
        let mut new = None;
        let outcome = self.running(plugin).and_then(|InForce { version: old, .. }| {
            let index = self.history.of(plugin).map_err(Refusal::History)?;
            let target = index.target(to)?.digest;
            new = Some(target);
            if target == old.digest() && self.awaited.of(plugin).is_empty() {
                return Ok(Outcome::Unchanged(target));
            }
            let bytes = self.history.read(plugin, target).map_err(|error| Refusal::Damaged(error.to_string()))?;
            let checked = self.loader.check(plugin, &bytes, Grant::All)?;
            self.activate(plugin, Change { action: Action::Rollback, who, checked, bytes: &bytes, reason })
        });
        self.told(plugin, Action::Rollback, who, new, outcome)
    }

    /// Rolls versions back that fail in their probation; whether some are on it still.
    pub fn judge(&mut self) -> bool {
        let now = Instant::now();
        for plugin in self.watched.keys().cloned().collect::<Vec<_>>() {
            let verdict = self.watched[&plugin].judge(now, self.calls(&plugin));
            if verdict != Verdict::Wait {
                self.watched.remove(&plugin);
            }
            if let Verdict::Failed(Calls { all, failed }) = verdict {
                let bound = self.probation.max_failure_percent;
                let reason = format!(
                    "{failed} of its first {all} calls failed, more than `plugins.max-failure-rate` ({bound}%)"
                );
                let bad = self.running.get(&plugin).map(|running| running.version.digest().short()).unwrap_or_default();
                let outcome = self.roll_back(&plugin, None, Who::Automatic, Some(reason.clone()));
                if let (Ok(_), Some(mut status)) = (outcome, self.statuses.get_mut(&plugin)) {
                    status.refused = Some(format!("{bad} was rolled back: {reason}"));
                }
            }
        }
        !self.watched.is_empty()
    }

    fn running(&self, plugin: &str) -> Result<InForce, Refusal> {
        let known = || self.loader.plugins().join(", ");
        self.running.get(plugin).cloned().ok_or_else(|| Refusal::Unknown(known()))
    }

    /// All that is to outlive a crash is on disk before the first worker swaps:
    /// a host that restarts never goes back behind what its records have seen.
    fn activate(&mut self, plugin: &str, change: Change<'_>) -> Result<Outcome, Refusal> {
        let old = self.running(plugin)?;
        let Change { action, who, checked: Checked { version, approved }, bytes, reason } = change;
        let digest = version.digest();
        let kept = Kept {
            digest,
            bytes: bytes.len() as u64,
            since: wall_ms(),
            by: who.to_string(),
            imports: version.interfaces().clone(),
            rolled_back: false,
        };
        let mut line = audit::Line {
            action,
            plugin,
            who,
            old: Some(old.version.digest()),
            new: Some(digest),
            outcome: audit::Outcome::Activated,
            approved,
            reason,
        };
        self.audit.append(&line).map_err(Refusal::Audit)?;
        let passed_over = self.in_folder(plugin, who, digest);
        let older = self.older(plugin, who, digest);
        let written = self.history.activate(plugin, kept, bytes, passed_over, action == Action::Rollback, &older);
        let before = match written {
            Ok(before) => before,
            Err(error) => {
                self.take_back(&mut line, "it could not be kept for a restart");
                return Err(Refusal::History(error));
            }
        };
        let standing = Arc::new(self.history.of(plugin).map(|index| index.standing()).unwrap_or_default());
        let to = InForce { version, standing };
        let answers = match self.hand_over(&to, &old) {
            Ok(answers) => answers,
            Err(refusal) => {
                self.metrics.swap(plugin, "rolled-back");
                if let Err(error) = self.history.restore(plugin, &before) {
                    tracing::error!(plugin, %error, "a restart would find the version that was taken back");
                }
                self.take_back(&mut line, &refusal.for_audit());
                return Err(refusal);
            }
        };
        self.awaited.forget(plugin, &older);
        answers.iter().for_each(|answer| self.metrics.swap_pause(plugin, answer.pause));
        self.running.insert(plugin.to_owned(), to);
        self.begin_probation(plugin, action);
        self.tidy(plugin);
        let pause = answers.iter().map(|answer| answer.pause).max().unwrap_or_default();
        Ok(Outcome::Activated { digest, pause })
    }

    /// Every worker swaps between two records of its own.
    ///
    /// # Errors
    /// When one cannot: all run `old` by then.
    fn hand_over(&self, to: &InForce, old: &InForce) -> Result<Vec<Swapped>, Refusal> {
        let patience = self.loader.patience(&to.version);
        if to.version.migrates() {
            let swapped = self.workers.hand_over_with_state(to, patience);
            return swapped.map_err(Refusal::Migration);
        }
        let answers = self.workers.hand_over(to, patience);
        match answers.iter().find_map(|answer| answer.refused.clone()) {
            None => Ok(answers),
            Some(refused) => {
                // Workers that swapped already go back, so that all run the same.
                self.workers.hand_over(old, self.loader.patience(&old.version));
                Err(Refusal::Worker(refused))
            }
        }
    }

    /// Versions of other hosts that the one with `digest` is to come after. What
    /// someone brings into force here by a command is newer than all that
    /// partitions wait for; another file in the folder may be one in between.
    fn older(&self, plugin: &str, who: Who, digest: Digest) -> Vec<Ran> {
        let mut awaited = self.awaited.of(plugin);
        if !matches!(who, Who::Api(_)) {
            awaited.retain(|ran| ran.digest == digest);
        }
        awaited
    }

    fn take_back(&mut self, line: &mut audit::Line<'_>, reason: &str) {
        line.outcome = audit::Outcome::TakenBack;
        line.reason = Some(reason.to_owned());
        if let Err(error) = self.audit.append(line) {
            tracing::error!(plugin = line.plugin, %error, "the audit log does not say that this version was taken back");
        }
    }

    fn begin_probation(&mut self, plugin: &str, action: Action) {
        let from = self.calls(plugin);
        let old = self.calls_at_start.insert(plugin.to_owned(), from).unwrap_or_default();
        self.watched.remove(plugin);
        // One that ran before comes back because of what the other did.
        if action == Action::Deploy && self.probation.max_failure_percent > 0 {
            let probation = Probation {
                until: Instant::now() + self.probation.time,
                max_failure_percent: self.probation.max_failure_percent,
                from,
                before: from.since(old),
            };
            self.watched.insert(plugin.to_owned(), probation);
        }
    }

    fn calls(&self, plugin: &str) -> Calls {
        let stages = self.loader.stages(plugin).map(|stage| (&*stage.scope.pipeline, &*stage.scope.stage));
        self.metrics.calls(stages)
    }

    /// What the plugin's file holds while `digest` comes into force: not to be
    /// deployed by itself after that.
    fn in_folder(&self, plugin: &str, who: Who, digest: Digest) -> Option<Digest> {
        match who {
            // Not read again: another file may be there by now, to be deployed next.
            Who::Folder => Some(digest),
            Who::Api(_) | Who::Automatic | Who::Offset | Who::Configuration => {
                self.loader.read(plugin).ok().map(|bytes| Digest::of(&bytes))
            }
        }
    }

    /// Notes that the running version was offered again.
    fn pass_over(&self, plugin: &str, who: Who, digest: Digest) {
        let Ok(mut index) = self.history.of(plugin) else { return };
        let passed_over = self.in_folder(plugin, who, digest);
        if index.passed_over != passed_over {
            index.passed_over = passed_over;
            if let Err(error) = self.history.restore(plugin, &index) {
                tracing::warn!(plugin, %error, "the index of its versions cannot be written");
            }
        }
    }

    fn tidy(&self, plugin: &str) {
        self.history.tidy(plugin);
        self.loader.code().tidy(&self.history.digests(&self.loader.plugins()));
    }
}

/// How often [`Deployer::judge`] is to be asked while a version is on probation.
pub const JUDGE: Duration = super::probation::LOOK;
