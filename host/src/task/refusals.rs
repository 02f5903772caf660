//! Outputs that the brokers did not take, by the unit that gave them: when that
//! unit comes again, it fails with what is noted here instead of being sent.

use std::borrow::Cow;

use hashbrown::HashSet;

use crate::origin::{Kind, Origin};
use crate::plugin::Failure;

/// Refusals that are remembered for one pipeline.
const MOST: usize = 1_000;

/// Why an output was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// For what it is: it would be refused again.
    Output(Cow<'static, str>),
    /// For what its topic is now: it is missing, or this principal may not write there.
    Topic(Cow<'static, str>),
}

/// What is known of one pipeline's refused outputs.
#[derive(Default)]
pub struct Refusals {
    noted: Vec<Noted>,
    /// Units of which one or none gave the output for which a whole batch was
    /// refused: each is sent in a batch of its own.
    suspects: HashSet<Origin, foldhash::fast::RandomState>,
}

struct Noted {
    unit: Origin,
    topic: String,
    refusal: Refusal,
    /// The unit came again and failed with it.
    met: bool,
    letter: Letter,
}

/// What is tried next where the refused output is the unit's dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    /// Nothing, until the topic's settings were asked for.
    Wait,
    /// The letter that they allow.
    Allowed,
    /// The brokers do not tell what they refuse: the letter without its record.
    Truncated,
}

impl Refusals {
    /// Notes that `topic` refused an output of `unit`; whether that is new.
    pub fn note(&mut self, unit: Origin, topic: &str, refusal: Refusal) -> bool {
        self.suspects.remove(&unit);
        let known = self.noted.iter_mut().find(|noted| noted.unit == unit && noted.topic == topic);
        if let Some(noted) = known {
            let next = match noted.letter {
                Letter::Allowed => Letter::Truncated,
                Letter::Wait | Letter::Truncated => Letter::Wait,
            };
            let new = noted.refusal != refusal || noted.letter != next;
            (noted.refusal, noted.letter) = (refusal, next);
            return new;
        }
        // What is forgotten is found anew.
        if self.noted.len() >= MOST {
            self.noted.remove(0);
        }
        self.noted.push(Noted { unit, topic: topic.to_owned(), refusal, met: false, letter: Letter::Wait });
        true
    }

    /// An output of `unit` was in a batch that was refused as a whole; whether that is new.
    pub fn suspect(&mut self, unit: Origin) -> bool {
        self.suspects.insert(unit)
    }

    pub fn is_suspect(&self, unit: Origin) -> bool {
        !self.suspects.is_empty() && self.suspects.contains(&unit)
    }

    /// Whether `topic` takes an output of `unit`, as far as that is known.
    ///
    /// # Errors
    /// What it was refused for before.
    pub fn check(&mut self, unit: Origin, topic: &str) -> Result<(), Failure> {
        let found = self.noted.iter().position(|noted| noted.unit == unit && noted.topic == topic);
        let Some(index) = found else { return Ok(()) };
        let topic = topic.to_owned();
        Err(match self.noted[index].refusal.clone() {
            Refusal::Output(reason) => {
                self.noted[index].met = true;
                Failure::OutputRefused { topic, reason }
            }
            // The next try asks the brokers again.
            Refusal::Topic(reason) => {
                self.noted.remove(index);
                Failure::TopicUnavailable { topic, reason }
            }
        })
    }

    /// As [`Refusals::check`], for a dead letter: whether it goes without its record. It
    /// is tried again once the topic's settings have been asked for; where it is refused
    /// with those too, it is truncated.
    ///
    /// # Errors
    /// What it was refused for before.
    pub fn check_letter(&mut self, unit: Origin, topic: &str) -> Result<bool, Failure> {
        let found = self.noted.iter_mut().find(|noted| noted.unit == unit && noted.topic == topic);
        let Some(noted) = found else { return Ok(false) };
        match (&noted.refusal, noted.letter) {
            (Refusal::Output(reason), Letter::Wait) => {
                noted.letter = Letter::Allowed;
                Err(Failure::OutputRefused { topic: topic.to_owned(), reason: reason.clone() })
            }
            (Refusal::Output(_), letter) => {
                noted.met = true;
                Ok(letter == Letter::Truncated)
            }
            (Refusal::Topic(_), _) => self.check(unit, topic).map(|()| false),
        }
    }

    /// A new version of a plugin may give other outputs.
    pub fn forget(&mut self) {
        self.noted.clear();
    }

    /// A commit: what units failed with before it is settled, so that a later
    /// version or a mended topic gets them anew. `is_past` tells the records that
    /// are processed.
    pub fn finish(&mut self, is_past: impl Fn(Origin) -> bool) {
        let is_past = |unit: Origin| unit.is_of(Kind::Record) && is_past(unit);
        self.noted.retain(|noted| !noted.met && !is_past(noted.unit));
        self.suspects.retain(|unit| unit.is_of(Kind::Record) && !is_past(*unit));
    }

    /// What happened since the last commit did not.
    pub fn roll_back(&mut self) {
        self.noted.iter_mut().for_each(|noted| noted.met = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(offset: u64) -> Origin {
        Origin::new(Kind::Record, offset)
    }

    fn output(reason: &'static str) -> Refusal {
        Refusal::Output(reason.into())
    }

    #[test]
    fn a_refused_output_fails_its_unit_once() {
        let mut refusals = Refusals::default();
        assert!(refusals.note(unit(7), "sink", output("too large")));
        assert!(!refusals.note(unit(7), "sink", output("too large")), "known before");
        assert_eq!(refusals.check(unit(6), "sink"), Ok(()));
        assert_eq!(refusals.check(unit(7), "other"), Ok(()));
        let failure = Failure::OutputRefused { topic: "sink".to_owned(), reason: "too large".into() };
        assert_eq!(refusals.check(unit(7), "sink"), Err(failure.clone()));
        refusals.roll_back();
        refusals.finish(|_| false);
        assert_eq!(refusals.check(unit(7), "sink"), Err(failure), "it was not met in this interval");
        refusals.finish(|_| false);
        assert_eq!(refusals.check(unit(7), "sink"), Ok(()), "a later try is sent");
    }

    #[test]
    fn a_letter_refused_again_is_truncated() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.check_letter(unit(7), "dead"), Ok(false));
        for _ in 0..2 {
            assert!(refusals.note(unit(7), "dead", output("too large")));
            assert!(refusals.check_letter(unit(7), "dead").is_err(), "the settings are asked for");
            assert_eq!(refusals.check_letter(unit(7), "dead"), Ok(false));
            assert!(refusals.note(unit(7), "dead", output("too large")), "that is new");
            refusals.roll_back();
            assert_eq!(refusals.check_letter(unit(7), "dead"), Ok(true));
        }
        refusals.finish(|_| false);
        assert_eq!(refusals.check_letter(unit(7), "dead"), Ok(false), "it is settled");
    }

    #[test]
    fn suspects_end_with_their_commit() {
        let mut refusals = Refusals::default();
        assert!(refusals.suspect(unit(1)) && refusals.suspect(unit(9)) && !refusals.suspect(unit(9)));
        refusals.finish(|passed| passed == unit(1));
        assert_eq!([1, 9].map(|offset| refusals.is_suspect(unit(offset))), [false, true]);
        refusals.note(unit(9), "sink", output("no key"));
        assert!(!refusals.is_suspect(unit(9)), "it is found");
    }
}
