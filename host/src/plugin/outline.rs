//! What a component says of itself, read without compiling it: what it is
//! refused for here costs no compilation.

use std::collections::BTreeSet;

use wasmparser::{ComponentTypeRef, Parser, Payload};
use wasmtime::Precompiled;

use super::Refused;
use super::abi::v1;
use super::limits::TABLE_ELEMENTS;
use crate::foreign::ForeignText;

/// What a plugin may import. WASI without a file, a network, an environment or
/// HTTP in it: language runtimes import it to start.
const OFFERED: [&str; 15] = [
    "gregor:plugin/types@1.",
    "gregor:plugin/cache@1.",
    "gregor:plugin/timers@1.",
    "gregor:plugin/metrics@1.",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:config/store@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:io/",
    "wasi:random/",
    "wasi:filesystem/",
    "wasi:sockets/",
];
/// The version of those whose offer names none.
const WASI: &str = "0.2.";
/// Bytes of the longest name of an interface.
const LONGEST_NAME: usize = 256;

/// The names of a component's imports and exports, and what it starts with.
#[derive(Debug, Default)]
pub struct Outline {
    imports: Vec<String>,
    exports: Vec<String>,
    /// Bytes of the largest initial memory of its core modules.
    memory: u64,
    /// Elements of the largest initial table of its core modules.
    elements: u64,
}

impl Outline {
    /// Reads `bytes`, and refuses what could not be a plugin of this host.
    ///
    /// # Errors
    /// [`Refused`], with what to do.
    pub fn read(bytes: &[u8], max_size: u64) -> Result<Outline, Refused> {
        Outline::check_bytes(bytes, max_size)?;
        let outline = Outline::parse(bytes).map_err(|error| Refused::Invalid(ForeignText::of_error(&error)))?;
        outline.check_exports()?;
        outline.check_imports()?;
        if outline.elements > TABLE_ELEMENTS as u64 {
            return Err(Refused::Table { asked: outline.elements });
        }
        Ok(outline)
    }

    /// What can be told from the first bytes and the length, before anything is
    /// parsed. The preamble of a core module and of a component differ in their
    /// fifth to eighth (component model, Binary.md).
    ///
    /// # Errors
    /// [`Refused`], with what to do.
    pub fn check_bytes(bytes: &[u8], max_size: u64) -> Result<(), Refused> {
        if bytes.is_empty() {
            return Err(Refused::Empty);
        }
        if bytes.len() as u64 > max_size {
            return Err(Refused::TooLarge { bytes: bytes.len() as u64, limit: max_size });
        }
        match wasmtime::Engine::detect_precompiled(bytes) {
            Some(Precompiled::Module | Precompiled::Component) => return Err(Refused::Precompiled),
            None => {}
        }
        match bytes.strip_prefix(b"\0asm") {
            None => Err(Refused::NotWasm),
            Some([1, 0, 0, 0, ..]) => Err(Refused::CoreModule),
            Some(_) => Ok(()),
        }
    }

    /// Refuses it where an instance would begin with more bytes of memory than
    /// `limit`, which is the one that `key` names.
    ///
    /// # Errors
    /// [`Refused::Memory`].
    pub fn check_memory(&self, limit: u64, key: impl FnOnce() -> String) -> Result<(), Refused> {
        match self.memory {
            asked if asked > limit => Err(Refused::Memory { asked, limit, key: key() }),
            _ => Ok(()),
        }
    }

    /// The interfaces that it imports, without their versions.
    pub fn interfaces(&self) -> BTreeSet<String> {
        let bare = |name: &String| name.split_once('@').map_or(name.as_str(), |(bare, _)| bare).to_owned();
        self.imports.iter().map(bare).collect()
    }

    /// The interfaces of the contract that it exports, without package and version.
    pub fn exports(&self) -> impl Iterator<Item = &str> {
        let plain = self.exports.iter().filter(|name| is_plain(name));
        plain.filter_map(|name| name.strip_prefix("gregor:plugin/")?.split('@').next())
    }

    /// The version of the contract that it was built with.
    pub fn contract(&self) -> &str {
        let processor = self.exports.iter().find(|name| name.starts_with(v1::PROCESSOR));
        processor.and_then(|name| name.split_once('@')).map_or("", |(_, version)| version)
    }

    /// The largest world of which it has every export.
    pub fn world(&self) -> &'static str {
        let exports: Vec<&str> = self.exports().collect();
        let has = |names: &[&str]| names.iter().all(|name| exports.contains(name));
        if has(&["timer-processor", "lifecycle", "migration"]) {
            "full-plugin"
        } else if has(&["timer-processor"]) {
            "timed-plugin"
        } else {
            "plugin"
        }
    }

    fn parse(bytes: &[u8]) -> wasmparser::Result<Outline> {
        let mut outline = Outline::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                // Components and modules inside it have names of their own.
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let import = import?;
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            outline.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        outline.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        let memory = memory?;
                        let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
                        outline.memory = outline.memory.max(memory.initial.saturating_mul(page));
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        outline.elements = outline.elements.max(table?.ty.initial);
                    }
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    fn check_exports(&self) -> Result<(), Refused> {
        let processor =
            self.exports.iter().find_map(|name| Some((name, name.strip_prefix(v1::PROCESSOR)?.strip_prefix('@')?)));
        match processor {
            Some((name, version)) if version.starts_with("1.") && is_plain(name) => Ok(()),
            Some((name, _)) => Err(Refused::WrongMajor(name.as_str().into())),
            None => Err(Refused::NoProcessor(self.exports.clone())),
        }
    }

    fn check_imports(&self) -> Result<(), Refused> {
        let offered = |name: &&String| is_plain(name) && OFFERED.iter().any(|offered| name.starts_with(offered));
        let (offered, missing): (Vec<_>, Vec<_>) = self.imports.iter().partition(offered);
        if !missing.is_empty() {
            return Err(Refused::Import(missing.into_iter().cloned().collect()));
        }
        // Where the offer names no version, it is that of WASI as a whole.
        let versioned = |name: &str| OFFERED.iter().any(|offered| offered.contains('@') && name.starts_with(offered));
        let is_wasi = |name: &str| name.split_once('@').is_some_and(|(_, version)| version.starts_with(WASI));
        let others = offered.into_iter().filter(|name| !versioned(name) && !is_wasi(name)).cloned();
        match others.collect::<Vec<_>>() {
            none if none.is_empty() => Ok(()),
            others => Err(Refused::WasiVersion(others)),
        }
    }
}

/// Whether a name can be shown as it is: what the component model lets interfaces be called.
fn is_plain(name: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b":/@.-+_".contains(&byte);
    name.len() <= LONGEST_NAME && name.bytes().all(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_component_itself_without_versions() {
        let outline = Outline::read(crate::demo_plugins()[1].1, 1 << 20).unwrap();
        let interfaces = outline.interfaces();
        assert!(interfaces.contains("gregor:plugin/cache"), "{interfaces:?}");
        assert!(interfaces.iter().all(|name| !name.contains('@') && name.contains(':')), "{interfaces:?}");
        assert!(outline.exports.iter().any(|name| name.starts_with("gregor:plugin/processor@1.")));
        assert_eq!((outline.exports().collect::<Vec<_>>(), outline.world()), (vec!["processor"], "plugin"));
    }

    #[test]
    fn a_refusal_is_one_line_whatever_the_parser_says() {
        // A component whose only module does not begin as one.
        let bytes = b"\0asm\x0d\0\x01\0\x01\x08\x01\x13\x40\x01\x01\0\0\0";
        let refused = Outline::read(bytes, 1 << 20).err().unwrap().to_string();
        assert!(refused.contains("magic") && !refused.contains('\n'), "{refused:?}");
    }

    #[test]
    fn whatever_is_cut_off_is_refused() {
        let whole = crate::demo_plugins()[2].1;
        for length in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
            assert!(Outline::read(&whole[..length], 1 << 20).is_err(), "{length} of {} bytes", whole.len());
        }
    }
}
