//! How long a test's form is: short by default, full as `cargo xtask chaos` asks.

use super::chance::Chance;

/// What GREGOR_TEST_RECORDS, GREGOR_TEST_ROUNDS and GREGOR_TEST_SEED say.
#[derive(Clone, Copy)]
pub struct Settings {
    pub records: u64,
    /// How many times the fault strikes.
    pub rounds: u64,
    pub seed: u64,
    /// As `cargo xtask chaos` asks, not the short form.
    pub full: bool,
}

impl Settings {
    /// What the environment says, and else the short form's `records` and `rounds`.
    pub fn or(records: u64, rounds: u64) -> Settings {
        let settings = Settings {
            records: number("GREGOR_TEST_RECORDS").unwrap_or(records),
            rounds: number("GREGOR_TEST_ROUNDS").unwrap_or(rounds),
            seed: number("GREGOR_TEST_SEED").unwrap_or(0x6772_6567_6f72),
            full: number("GREGOR_TEST_ROUNDS").is_some(),
        };
        let Settings { records, rounds, seed, .. } = settings;
        println!("{records} records, {rounds} rounds, GREGOR_TEST_SEED={seed}");
        settings
    }

    pub fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Records a second, so that `records` last for all rounds of so many seconds.
    pub fn pace(&self, seconds_a_round: u64) -> u64 {
        self.records.div_ceil(self.rounds.max(1) * seconds_a_round)
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a whole number, not {text:?}")))
}
