//! Which versions a host starts with.
//!
//! The file in the folder is a deploy like any other, measured by the version
//! that was in force when the host ended; where it is refused, or was passed
//! over by a rollback, that version goes on.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::history::{History, Index, Kept};
use super::loader::{Checked, Grant, Loader};
use super::{PluginStatuses, Refusal, StartError};
use crate::clock::wall_ms;
use crate::deploy::PluginStatus;
use crate::files::{DataDirError, OwnedFolder};
use crate::observe::audit::{self, Action, Audit, Who};
use crate::plugin::{Digest, Version};
use crate::task::{InForce, Versions};

/// The host's own records of its versions, below `host.data-dir`.
pub struct Records {
    pub audit: Audit,
    pub history: History,
}

impl Records {
    /// # Errors
    /// When they cannot be read or written, or others may write to them.
    pub fn open(data: &OwnedFolder, keep_versions: usize) -> Result<Records, DataDirError> {
        let open = || Ok(Records { audit: Audit::open(data)?, history: History::open(data, keep_versions)? });
        open().map_err(|problem: io::Error| DataDirError::Unusable { path: data.path().to_owned(), problem })
    }

    /// Loads every plugin, before the first worker starts.
    ///
    /// # Errors
    /// The first plugin that has no version to run.
    pub fn load_all(mut self, loader: &Loader, statuses: &PluginStatuses) -> Result<Started, StartError> {
        let (mut versions, mut refused) = (Versions::new(), HashMap::new());
        for plugin in loader.plugins() {
            let (version, refusal) = self.load(loader, &plugin, &mut refused)?;
            let index = self.index(loader, &plugin)?;
            let standing = Arc::new(index.standing());
            let status = PluginStatus { refused: refusal, ..PluginStatus::running(&version, index.versions) };
            statuses.insert(plugin.clone(), status);
            versions.insert(plugin, InForce { version, standing });
        }
        let plugins = loader.plugins();
        plugins.iter().for_each(|plugin| self.history.tidy(plugin));
        loader.code().tidy(&self.history.digests(&plugins));
        loader.code().give_way();
        Ok(Started { versions, refused, audit: self.audit, history: self.history })
    }

    /// The version to run, and why it is not the one in the folder.
    fn load(
        &mut self,
        loader: &Loader,
        plugin: &str,
        refused: &mut HashMap<String, Digest>,
    ) -> Result<(Arc<Version>, Option<String>), StartError> {
        let index = self.index(loader, plugin)?;
        let Some(active) = index.active() else {
            let bytes =
                loader.read_whole(plugin).map_err(|refusal| self.refused(loader, plugin, None, None, refusal))?;
            let new = Digest::of(&bytes);
            let first = self.take(loader, plugin, &index, &bytes, Grant::All);
            return match first {
                Ok(version) => Ok((version, None)),
                Err(refusal) => Err(self.refused(loader, plugin, None, Some(new), refusal)),
            };
        };
        let refusal = match loader.read(plugin) {
            Ok(bytes) if Digest::of(&bytes) == active.digest => {
                let checked = loader.check(plugin, &bytes, Grant::All);
                let checked =
                    checked.map_err(|refusal| self.refused(loader, plugin, None, Some(active.digest), refusal))?;
                return Ok((checked.version, None));
            }
            Ok(bytes) if index.passed_over == Some(Digest::of(&bytes)) => None,
            // The watch over the folder takes it once it is whole, or refuses it.
            Ok(bytes) if loader.still_arrives(plugin, &bytes) => None,
            Ok(bytes) => {
                let grant = Grant::Before { imports: &active.imports, approved: false };
                match self.take(loader, plugin, &index, &bytes, grant) {
                    Ok(version) => return Ok((version, None)),
                    Err(refusal) => {
                        let text = refusal.to_string();
                        refused.insert(plugin.to_owned(), Digest::of(&bytes));
                        self.refused(loader, plugin, Some(active.digest), Some(Digest::of(&bytes)), refusal);
                        Some(text)
                    }
                }
            }
            Err(refusal) => Some(format!("{} {refusal}", loader.path(plugin).display())),
        };
        let digest = active.digest.short();
        match &refusal {
            None => tracing::info!(plugin, digest, "goes on with the version of before, not with the folder's"),
            Some(why) => tracing::error!(plugin, digest, "goes on with the version of before: {why}"),
        }
        let bytes = self.history.read(plugin, active.digest).map_err(|error| Refusal::Damaged(error.to_string()));
        let checked = bytes.and_then(|bytes| loader.check(plugin, &bytes, Grant::All));
        let checked = checked.map_err(|refusal| self.refused(loader, plugin, None, Some(active.digest), refusal))?;
        Ok((checked.version, refusal))
    }

    /// Brings the folder's file into force, as nothing runs yet.
    fn take(
        &mut self,
        loader: &Loader,
        plugin: &str,
        index: &Index,
        bytes: &[u8],
        grant: Grant<'_>,
    ) -> Result<Arc<Version>, Refusal> {
        let Checked { version, approved } = loader.check(plugin, bytes, grant)?;
        let digest = version.digest();
        let line = audit::Line {
            action: Action::Deploy,
            plugin,
            who: Who::Folder,
            old: index.active().map(|active| active.digest),
            new: Some(digest),
            outcome: audit::Outcome::Activated,
            approved,
            reason: None,
        };
        self.audit.append(&line).map_err(Refusal::Audit)?;
        let kept = Kept {
            digest,
            bytes: bytes.len() as u64,
            since: wall_ms(),
            by: Who::Folder.to_string(),
            imports: version.interfaces().clone(),
            rolled_back: false,
        };
        self.history.activate(plugin, kept, bytes, Some(digest), false, &[]).map_err(Refusal::History)?;
        Ok(version)
    }

    fn index(&self, loader: &Loader, plugin: &str) -> Result<Index, StartError> {
        let path = loader.path(plugin);
        let told =
            |error| StartError::Refused { plugin: plugin.to_owned(), path, refusal: Box::new(Refusal::History(error)) };
        self.history.of(plugin).map_err(told)
    }

    /// A line of the audit log for a refusal, and the error that it is where
    /// nothing else can run.
    fn refused(
        &mut self,
        loader: &Loader,
        plugin: &str,
        old: Option<Digest>,
        new: Option<Digest>,
        refusal: Refusal,
    ) -> StartError {
        let line = audit::Line {
            action: Action::Deploy,
            plugin,
            who: Who::Folder,
            old,
            new,
            outcome: audit::Outcome::Refused,
            approved: Vec::new(),
            reason: Some(refusal.for_audit()),
        };
        if let Err(error) = self.audit.append(&line) {
            tracing::error!(plugin, %error, "the audit log cannot be written: see to `host.data-dir`");
        }
        let (plugin, path) = (plugin.to_owned(), loader.path(plugin));
        match refusal {
            Refusal::File(problem) => StartError::File { plugin, path, problem },
            refusal => StartError::Refused { plugin, path, refusal: Box::new(refusal) },
        }
    }
}

/// What a host starts with.
#[derive(Clone)]
pub struct Started {
    pub versions: Versions,
    /// Files in the folder that were refused just now.
    pub refused: HashMap<String, Digest>,
    pub audit: Audit,
    pub history: History,
}
