//! What a committed offset's metadata tells of state: whose commit it was, which
//! stages had stamped their state by then, and what someone has ordered.

use super::Decision;
use crate::position;

/// What begins the word that names the stages whose state has stamps.
const STAGES: &str = "s=";
/// What begins the word that names the host.
const HOST: &str = "by=";
/// What begins the word that says what is to become of state that does not fit.
const ORDER: &str = "state=";

/// What the metadata of an offset tells of state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// A host of ours has written it: no commit from outside.
    pub ours: bool,
    /// Tags of the stages whose state has stamps; none where an earlier version
    /// of Gregor committed, which writes no stamps.
    pub stages: Option<Vec<String>>,
    /// The tag of the host that committed.
    pub host: Option<String>,
    /// What someone has ordered with all hosts stopped.
    pub order: Option<Decision>,
}

impl Noted {
    pub fn of(metadata: &str) -> Noted {
        let word = |of: &str| position::words(metadata).find_map(|word| word.strip_prefix(of));
        Noted {
            ours: position::words(metadata).next().is_some(),
            stages: word(STAGES).map(|tags| tags.split(',').map(str::to_owned).collect()),
            host: word(HOST).map(str::to_owned),
            order: word(ORDER).and_then(Decision::named),
        }
    }

    /// The words for stages with these tags, on the host with this one; none
    /// without stages.
    pub fn words<'a>(stages: impl Iterator<Item = &'a str>, host: &str) -> Option<String> {
        let mut tags: Vec<&str> = stages.collect();
        tags.sort_unstable();
        (!tags.is_empty()).then(|| format!("{STAGES}{} {HOST}{host}", tags.join(",")))
    }

    pub fn has(&self, stage: &str) -> bool {
        self.stages.as_ref().is_some_and(|stages| stages.iter().any(|tag| tag == stage))
    }
}

/// The metadata for another offset of the same partition, with an order if there
/// is one: all that it told, but for a record half done, which is not that offset's.
pub fn ordered(metadata: &str, decision: Option<Decision>) -> String {
    let kept = position::words(metadata).filter(|word| word.contains('=') && !word.starts_with(ORDER));
    let order = decision.map(|decision| format!("{ORDER}{}", decision.name()));
    position::marked(kept.chain(order.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_beside_others() {
        let words = Noted::words(["b", "a"].into_iter(), "h").unwrap();
        assert_eq!(words, "s=a,b by=h");
        let noted = Noted::of(&format!("gregor1 9 2 timers=3 v=p:x {words}"));
        assert!(noted.ours && noted.has("a") && noted.has("b") && !noted.has("c"));
        assert_eq!((noted.host.as_deref(), noted.order), (Some("h"), None));
        assert_eq!(Noted::words([].into_iter(), "h"), None);
    }

    #[test]
    fn metadata_of_others_and_of_earlier_versions_tell_less() {
        assert_eq!(Noted::of("someone s=a"), Noted::default());
        assert_eq!(Noted::of("gregor1 timers=1"), Noted { ours: true, ..Noted::default() });
    }

    #[test]
    fn an_order_keeps_all_but_a_record_half_done() {
        let was = "gregor1 9 2 timers=3 v=p:x s=a by=h state=keep";
        let ordered = ordered(was, Some(Decision::Reset));
        assert_eq!(ordered, "gregor1 timers=3 v=p:x s=a by=h state=reset");
        assert_eq!(Noted::of(&ordered).order, Some(Decision::Reset));
        assert_eq!(super::ordered(was, None), "gregor1 timers=3 v=p:x s=a by=h");
        assert_eq!(super::ordered("", Some(Decision::Keep)), "gregor1 state=keep");
    }
}
