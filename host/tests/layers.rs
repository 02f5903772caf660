//! The modules import in one direction: each only what stands to its right in
//! docs/architecture.md.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The line of docs/architecture.md that begins the order.
const ORDER: &str = "cli → ";

/// The modules of docs/architecture.md, those that may import most first.
fn order() -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("../docs/architecture.md")).expect("docs/architecture.md");
    let from = text.find(ORDER).expect("the order of the modules");
    let block = text[from..].split("\n```").next().expect("a block");
    block.split(['→', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let is_of_tests = entry.file_stem().is_some_and(|stem| stem == "tests");
        if entry.is_dir() && !is_of_tests {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !is_of_tests {
            found.push(entry);
        }
    }
}

/// The module of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let path = path.strip_prefix(Path::new(ROOT).join("src")).expect("a source");
    let first = path.components().next().expect("a name").as_os_str().to_str().expect("UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that code names by a path which begins with `crate::`.
fn imported(code: &str) -> BTreeSet<&str> {
    let names = code.split("crate::").skip(1).filter(|rest| !rest.starts_with('{'));
    names.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

/// Code without its comments and its tests, which may look at anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_module_imports_one_to_its_left() {
    let order = order();
    let rank = |name: &str| order.iter().position(|known| known == name);
    let mut files = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut files);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for file in &files {
        let own = module(file);
        if own == "lib" || own == "main" {
            continue;
        }
        let Some(from) = rank(&own) else {
            wrong.push(format!("{own} is not in the order of docs/architecture.md"));
            continue;
        };
        let code = code(file);
        assert!(!code.contains("use crate::{"), "{}: write a `use crate::module::…` for each module", file.display());
        for name in imported(&code) {
            if rank(name).is_some_and(|to| to < from) {
                wrong.push(format!("{} imports {name}, which is to the left of {own}", file.display()));
            }
        }
        seen.insert(own);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(seen, order.into_iter().collect(), "modules of the order, and those that there are");
}

#[test]
fn an_import_to_the_left_is_seen() {
    let code = "use crate::worker::{self, Command};\nfn f() { crate::admin::serve() }";
    assert_eq!(imported(code), BTreeSet::from(["admin", "worker"]));
    assert!(order().len() > 15 && order()[0] == "cli" && order().contains(&"config".to_owned()));
}
