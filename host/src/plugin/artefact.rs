//! One version of a plugin: its bytes checked and compiled.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use super::Refused;
use super::abi::v1;
use super::engine::Engine;
use super::instance::Guest;
use super::outline::Outline;
use crate::foreign::ForeignText;

/// SHA-256 of an artefact's bytes; as text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The first 12 hexadecimal digits, enough to tell versions apart in a log line.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        let mut bytes = [0; 32];
        let plain = text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        for (index, byte) in bytes.iter_mut().enumerate().filter(|_| plain) {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|error| error.to_string())?;
        }
        if plain { Ok(Digest(bytes)) } else { Err(format!("{text:?} is not 64 hexadecimal digits")) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A checked, compiled artefact, shared by all workers.
pub struct Version {
    plugin: String,
    digest: Digest,
    pre: InstancePre<Guest>,
    exports: v1::PluginIndices,
    init: Option<ComponentExportIndex>,
    on_timer: Option<ComponentExportIndex>,
    migrate: Option<ComponentExportIndex>,
    interfaces: BTreeSet<String>,
}

impl Version {
    /// Checks `bytes` and compiles them in this process, unbounded: for a look
    /// at a component, where nothing is kept of it.
    ///
    /// # Errors
    /// [`Refused`], with what to do.
    pub fn compile(engine: &Engine, plugin: &str, bytes: &[u8], max_size: u64) -> Result<Version, Refused> {
        let outline = Outline::read(bytes, max_size)?;
        let component = Component::new(engine.wasmtime(), bytes).map_err(|error| Refused::of(&error))?;
        Version::new(engine, plugin, Digest::of(bytes), &outline, &component)
    }

    /// A version from its compiled code.
    ///
    /// # Errors
    /// When the types of its functions are not those of the world.
    pub fn new(
        engine: &Engine,
        plugin: &str,
        digest: Digest,
        outline: &Outline,
        component: &Component,
    ) -> Result<Version, Refused> {
        let pre = engine
            .linker()
            .instantiate_pre(component)
            .map_err(|error| Refused::Mismatch(ForeignText::of_error(&error)))?;
        let exports = v1::PluginIndices::new(&pre).map_err(|error| Refused::Mismatch(ForeignText::of_error(&error)))?;
        let optional = |interface: &str, name: &str| {
            let interface = component.get_export_index(None, interface)?;
            component.get_export_index(Some(&interface), name)
        };
        let init = optional(v1::LIFECYCLE, "init");
        let on_timer = optional(v1::TIMER_PROCESSOR, "on-timer");
        let migrate = optional(v1::MIGRATION, "migrate");
        let interfaces = outline.interfaces();
        Ok(Version { plugin: plugin.to_owned(), digest, pre, exports, init, on_timer, migrate, interfaces })
    }

    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it can keep anything from one record to the next: it imports the cache,
    /// by one name or the other.
    pub fn keeps_state(&self) -> bool {
        ["gregor:plugin/cache", "wasi:keyvalue/store"].iter().any(|cache| self.interfaces.contains(*cache))
    }

    /// Whether it takes over the state of the version before it in its own way:
    /// it exports `migration`.
    pub fn migrates(&self) -> bool {
        self.migrate.is_some()
    }

    /// The interfaces that it imports, without their versions.
    pub fn interfaces(&self) -> &BTreeSet<String> {
        &self.interfaces
    }

    /// Whether its timers can fire: it exports `timer-processor`.
    pub fn takes_timers(&self) -> bool {
        self.on_timer.is_some()
    }

    pub(super) fn migrate(&self) -> Option<ComponentExportIndex> {
        self.migrate
    }

    pub(super) fn init(&self) -> Option<ComponentExportIndex> {
        self.init
    }

    pub(super) fn on_timer(&self) -> Option<ComponentExportIndex> {
        self.on_timer
    }

    pub(super) fn instantiate(
        &self,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<(wasmtime::component::Instance, v1::Plugin)> {
        let instance = self.pre.instantiate(&mut *store)?;
        let exports = self.exports.load(&mut *store, &instance)?;
        Ok((instance, exports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_back_from_its_text_and_from_nothing_else() {
        let digest = Digest::of(b"plugin");
        assert_eq!(Digest::try_from(digest.to_string()), Ok(digest));
        for text in [digest.short(), digest.to_string().to_uppercase(), "g".repeat(64), "é".repeat(32)] {
            assert!(Digest::try_from(text).is_err());
        }
    }
}
