//! A plugin's own metrics, gathered by its instance and handed over at commits.

use std::collections::HashMap;

/// Sums of `metrics.count` and last values of `metrics.observe`.
#[derive(Debug, Default)]
pub struct Counts {
    pub totals: HashMap<String, u64>,
    pub gauges: HashMap<String, f64>,
    /// Reports under a name that was one too many, or none.
    pub ignored: u64,
}

impl Counts {
    /// Names that one instance may use; more are ignored, as each is a time series.
    pub const MAX_NAMES: usize = 64;

    pub fn count(&mut self, name: String, by: u64) {
        if let Some(total) = self.totals.get_mut(&name) {
            *total = total.saturating_add(by);
        } else if self.admits(&name) {
            self.totals.insert(name, by);
        } else {
            self.ignored += 1;
        }
    }

    pub fn observe(&mut self, name: String, value: f64) {
        if self.gauges.contains_key(&name) || self.admits(&name) {
            self.gauges.insert(name, value);
        } else {
            self.ignored += 1;
        }
    }

    /// Lower case letters, digits and `_`, at most 64 bytes, as the WIT says.
    fn admits(&self, name: &str) -> bool {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        self.totals.len() + self.gauges.len() < Counts::MAX_NAMES
            && (1..=64).contains(&name.len())
            && name.bytes().all(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_prometheus_takes_are_admitted_and_only_64() {
        let mut counts = Counts::default();
        for bad in ["", "Upper", "has-dash", "é", &"x".repeat(65)] {
            counts.count(bad.into(), 1);
        }
        assert!(counts.totals.is_empty());
        for n in 0..100 {
            counts.count(format!("n{n}"), 1);
        }
        assert_eq!((counts.totals.len(), counts.ignored), (64, 5 + 36));
        counts.count("n1".into(), u64::MAX);
        assert_eq!(counts.totals["n1"], u64::MAX);
    }
}
