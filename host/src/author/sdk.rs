//! The Rust SDK, out of the binary: it is in no registry, so a project carries a copy.

use toml::{Table, Value};

use super::files::{self, Embedded};
use super::{AuthorError, Project, contract};

const SDK: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
/// Where a project has it.
const FOLDER: &str = "vendor/gregor-sdk";
/// Where the bindings find the WIT: in this repository, and in a copy.
const WIT_HERE: &str = "../../wit/v1";
const WIT_THERE: &str = "wit/v1";

/// Lays the SDK into a project that builds on a copy of it and has none: a new one, or
/// one whose author deleted the folder to get this version's.
///
/// # Errors
/// When the files cannot be read or written.
pub fn restore(project: &Project) -> Result<(), AuthorError> {
    let manifest = project.dir.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(AuthorError::file(&manifest))?;
    let folder = project.dir.join(FOLDER);
    if !text.contains(FOLDER) || folder.join("Cargo.toml").is_file() {
        return Ok(());
    }
    for (path, content) in SDK {
        let text = String::from_utf8_lossy(content);
        let content = match *path {
            "Cargo.toml" => standalone(&text, WORKSPACE).map_err(|problem| AuthorError::File {
                file: folder.join(path),
                problem: format!("cannot be made: {problem}"),
            })?,
            path if path.ends_with(".rs") => text.replace(WIT_HERE, WIT_THERE),
            _ => text.into_owned(),
        };
        files::write(&folder.join(path), content.as_bytes())?;
    }
    contract::lay_out(&folder.join(WIT_THERE))
}

/// A member's manifest with what it inherits from its workspace written out.
fn standalone(member: &str, workspace: &str) -> Result<String, toml::de::Error> {
    let mut member: Table = member.parse()?;
    let workspace: Table = workspace.parse()?;
    let shared = |table: &str, key: &str| workspace.get("workspace")?.get(table)?.get(key).cloned();
    let inherits = |value: &Value| value.get("workspace") == Some(&Value::Boolean(true));
    if let Some(Value::Table(package)) = member.get_mut("package") {
        for (key, value) in package.iter_mut().filter(|(_, value)| inherits(value)) {
            if let Some(inherited) = shared("package", key) {
                *value = inherited;
            }
        }
    }
    for section in ["dependencies", "dev-dependencies"] {
        let Some(Value::Table(dependencies)) = member.get_mut(section) else { continue };
        for (name, own) in dependencies.iter_mut().filter(|(_, value)| inherits(value)) {
            let mut whole = match shared("dependencies", name) {
                Some(Value::Table(table)) => table,
                Some(version) => Table::from_iter([("version".to_owned(), version)]),
                None => continue,
            };
            for (key, value) in own.as_table().into_iter().flatten().filter(|(key, _)| *key != "workspace") {
                match (whole.get_mut(key), value) {
                    (Some(Value::Array(features)), Value::Array(more)) => features.extend(more.iter().cloned()),
                    _ => drop(whole.insert(key.clone(), value.clone())),
                }
            }
            *own = Value::Table(whole);
        }
    }
    if member.get("lints").is_some_and(inherits) {
        member.remove("lints");
    }
    Ok(member.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_inherits_is_written_out() {
        let workspace = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\n\
            serde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"";
        let member = "[package]\nname = \"m\"\nversion.workspace = true\n[lints]\nworkspace = true\n\
            [dependencies]\nserde_json.workspace = true\nserde = { workspace = true, features = [\"rc\"], optional = true }\n\
            other = \"2\"";
        let whole: Table = standalone(member, workspace).unwrap().parse().unwrap();
        let expected: Table = "[package]\nname = \"m\"\nversion = \"1.2.3\"\n[dependencies]\n\
            serde_json = { version = \"1\" }\nserde = { version = \"1\", features = [\"derive\", \"rc\"], optional = true }\n\
            other = \"2\""
            .parse()
            .unwrap();
        assert_eq!(whole, expected);
    }

    #[test]
    fn the_copy_needs_nothing_of_this_repository() {
        let manifest = SDK.iter().find(|(path, _)| *path == "Cargo.toml").unwrap().1;
        let manifest = standalone(std::str::from_utf8(manifest).unwrap(), WORKSPACE).unwrap();
        assert!(!manifest.contains("workspace") && !manifest.contains("path = "), "{manifest}");
        let sources = SDK.iter().filter(|(path, _)| path.ends_with(".rs"));
        for (path, content) in sources {
            let copy = String::from_utf8_lossy(content).replace(WIT_HERE, WIT_THERE);
            assert!(!copy.contains("path: \"../"), "{path}");
        }
    }
}
