//! Names of plugins.

use super::AuthorError;

/// What some language would not take as the name of a module or a package.
const TAKEN: [&str; 30] = [
    "as", "break", "const", "continue", "core", "def", "else", "enum", "fn", "for", "func", "go", "gregor", "if",
    "import", "in", "let", "main", "match", "mod", "package", "return", "self", "static", "std", "struct", "test",
    "type", "use", "while",
];

/// # Errors
/// When `name` is not one that the host's configuration and every language can take.
pub fn check(name: &str) -> Result<(), AuthorError> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let problem = if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(plain) {
        "use a to z, 0 to 9 and -, a letter first"
    } else if name.len() > 63 {
        "it has more than 63 characters"
    } else if name.ends_with('-') || name.contains("--") {
        "use single dashes, between letters or digits"
    } else if TAKEN.contains(&name) || name == "gregor-sdk" {
        "it is a word of a language or of Gregor's own: choose another"
    } else {
        return Ok(());
    };
    Err(AuthorError::Name { name: name.to_owned(), problem: problem.to_owned() })
}

/// `name` as a module is called: `last_location`.
pub fn module(name: &str) -> String {
    name.replace('-', "_")
}

/// A plugin's name out of a package's: `@ward/last_location` is `last-location`.
pub fn of_package(package: &str) -> String {
    let last = package.rsplit('/').find(|part| !part.is_empty()).unwrap_or(package);
    last.to_ascii_lowercase().replace(['_', '.', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_configuration_and_languages_take() {
        for name in ["a", "last-location", "v2", "a1-b2"] {
            assert!(check(name).is_ok(), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", "-a", "a-", "a--b", "A", "a_b", "1a", "a.b", "a/b", "é", "test", "match", "gregor-sdk", &long]
        {
            assert!(matches!(check(name), Err(AuthorError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn a_package_gives_its_plugin_a_name() {
        for (package, name) in
            [("last_location", "last-location"), ("@ward/seen", "seen"), ("example.com/ward/seen", "seen")]
        {
            assert_eq!(of_package(package), name);
        }
    }
}
