//! What a version may import: what the version before did, unless someone
//! approves more. Topics need no gate: an output to one that the stage's
//! `topics` does not grant fails its record.

use std::collections::BTreeSet;

use super::Refusal;

/// The interfaces that are new in `asked`, once they are let in.
///
/// # Errors
/// When there are some, and nobody approved.
pub fn check(asked: &BTreeSet<String>, granted: &BTreeSet<String>, approved: bool) -> Result<Vec<String>, Refusal> {
    let new: BTreeSet<String> = asked.difference(granted).cloned().collect();
    if new.is_empty() || approved { Ok(new.into_iter().collect()) } else { Err(Refusal::Imports(new)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_before_needs_an_approval_and_less_does_not() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (small, large) = (set(&["wasi:io/streams"]), set(&["wasi:io/streams", "gregor:plugin/cache"]));
        assert_eq!(check(&small, &large, false).unwrap(), Vec::<String>::new());
        assert_eq!(check(&large, &large, false).unwrap(), Vec::<String>::new());
        let refusal = check(&large, &small, false).unwrap_err().to_string();
        assert!(refusal.contains("it imports `gregor:plugin/cache`, which the version before does not"), "{refusal}");
        assert_eq!(check(&large, &small, true).unwrap(), ["gregor:plugin/cache"]);
    }
}
