//! How a change of versions went, told to everyone who looks.

use super::super::{Outcome, Refusal};
use super::Deployer;
use crate::deploy::PluginStatus;
use crate::observe::audit::{self, Action, Who};
use crate::plugin::Digest;

impl Deployer {
    /// Tells the log, the metrics, the API and, of a refusal, the audit log.
    pub(super) fn told(
        &mut self,
        plugin: &str,
        action: Action,
        who: Who,
        new: Option<Digest>,
        outcome: Result<Outcome, Refusal>,
    ) -> Result<Outcome, Refusal> {
        match &outcome {
            Ok(Outcome::Unchanged(_)) => {}
            Ok(Outcome::Activated { digest, pause }) => {
                tracing::info!(plugin, %who, digest = digest.short(), ?pause, "a new version runs");
                self.metrics.swap(plugin, if action == Action::Deploy { "activated" } else { "rolled-back" });
                self.show(plugin);
            }
            Err(refusal) => {
                self.metrics.swap(plugin, "refused");
                self.tell_refusal(plugin, action, who, new, refusal);
            }
        }
        outcome
    }

    fn tell_refusal(&mut self, plugin: &str, action: Action, who: Who, new: Option<Digest>, refusal: &Refusal) {
        let offered = match (who, new) {
            (Who::Folder, _) => self.loader.path(plugin).display().to_string(),
            (_, Some(digest)) => format!("version {}", digest.short()),
            (_, None) => "what was offered".to_owned(),
        };
        tracing::error!(plugin, %who, "{offered} is not deployed, the running version goes on: {refusal}");
        let line = audit::Line {
            action,
            plugin,
            who,
            old: self.running.get(plugin).map(|running| running.version.digest()),
            new,
            outcome: audit::Outcome::Refused,
            approved: Vec::new(),
            reason: Some(refusal.for_audit()),
        };
        if let Err(error) = self.audit.append(&line) {
            tracing::error!(plugin, %error, "the audit log cannot be written: see to `host.data-dir`");
        }
        if let Some(mut status) = self.statuses.get_mut(plugin) {
            status.refused = Some(refusal.to_string());
        }
    }

    /// Shows the version in force and those before it.
    fn show(&self, plugin: &str) {
        let versions = self.history.of(plugin).map(|index| index.versions).unwrap_or_default();
        if let Some(running) = self.running.get(plugin) {
            self.statuses.insert(plugin.to_owned(), PluginStatus::running(&running.version, versions));
        }
    }
}
