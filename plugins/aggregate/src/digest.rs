//! Quantiles of many numbers in few: a t-digest (Dunning, "Computing extremely accurate
//! quantiles using t-digests", 2019), merging variant.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// About so many centroids are left when they are merged.
const COMPRESSION: f64 = 100.0;
/// Centroids that wait to be merged, with those that were.
const CAPACITY: usize = 400;

/// Means and weights of groups of numbers, by mean once they are merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    centroids: Vec<(f64, f64)>,
    #[serde(default)]
    bounds: Option<(f64, f64)>,
}

impl Digest {
    pub fn add(&mut self, number: f64) {
        self.put(number, 1.0, (number, number));
    }

    pub fn merge(&mut self, other: Self) {
        let Some(bounds) = other.bounds else { return };
        for (mean, weight) in other.centroids {
            self.put(mean, weight, bounds);
        }
    }

    fn put(&mut self, mean: f64, weight: f64, (low, high): (f64, f64)) {
        self.bounds = Some(self.bounds.map_or((low, high), |(least, most)| (least.min(low), most.max(high))));
        self.centroids.push((mean, weight));
        if self.centroids.len() > CAPACITY {
            self.compress();
        }
    }

    /// Merges neighbours where the scale function lets them be one: few at the ends, many in
    /// the middle.
    fn compress(&mut self) {
        self.centroids.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total: f64 = self.centroids.iter().map(|(_, weight)| weight).sum();
        let limit = |before: f64| {
            let scale = COMPRESSION / (2.0 * PI) * (2.0 * before / total - 1.0).clamp(-1.0, 1.0).asin() + 1.0;
            total * ((scale * 2.0 * PI / COMPRESSION).clamp(-PI / 2.0, PI / 2.0).sin() + 1.0) / 2.0
        };
        let mut merged: Vec<(f64, f64)> = Vec::new();
        let (mut before, mut end) = (0.0, limit(0.0));
        for (mean, weight) in self.centroids.drain(..) {
            match merged.last_mut() {
                Some((own, of)) if before + *of + weight <= end => {
                    *of += weight;
                    // Without a difference, which could be past a double.
                    *own = *own * ((*of - weight) / *of) + mean * (weight / *of);
                }
                last => {
                    before += last.map_or(0.0, |(_, weight)| *weight);
                    end = limit(before);
                    merged.push((mean, weight));
                }
            }
        }
        self.centroids = merged;
    }

    /// The number that a share of all are at most, interpolated; `None` of none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let (low, high) = self.bounds?;
        let mut centroids = self.centroids.clone();
        centroids.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total: f64 = centroids.iter().map(|(_, weight)| weight).sum();
        let wanted = share * total;
        // A centroid stands for the numbers around the middle of its weight.
        let (mut position, mut mean, mut before) = (0.0, low, 0.0);
        for (next, weight) in centroids {
            let middle = before + weight / 2.0;
            if wanted <= middle {
                let part = if middle > position { (wanted - position) / (middle - position) } else { 1.0 };
                return Some((mean * (1.0 - part) + next * part).clamp(low, high));
            }
            (position, mean, before) = (middle, next, before + weight);
        }
        let part = if total > position { (wanted - position) / (total - position) } else { 1.0 };
        Some((mean * (1.0 - part) + high * part).clamp(low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 0 to 1 in an order without a pattern.
    fn numbers(many: u32) -> impl Iterator<Item = f64> {
        (0..many).map(|at| f64::from(at.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX))
    }

    #[test]
    fn quantiles_are_near_those_of_all_numbers() {
        let mut digest = Digest::default();
        numbers(20_000).for_each(|number| digest.add(number));
        assert!(digest.centroids.len() <= CAPACITY);
        for (share, near) in [(0.0, 0.001), (0.01, 0.003), (0.5, 0.02), (0.95, 0.01), (0.999, 0.001), (1.0, 0.001)] {
            let quantile = digest.quantile(share).expect("a number");
            assert!((quantile - share).abs() < near, "{quantile} of {share}");
        }
    }

    #[test]
    fn a_few_numbers_are_told_exactly_at_their_ends() {
        let mut digest = Digest::default();
        assert_eq!(digest.quantile(0.5), None);
        digest.add(7.0);
        assert_eq!(
            (digest.quantile(0.0), digest.quantile(0.5), digest.quantile(1.0)),
            (Some(7.0), Some(7.0), Some(7.0))
        );
        digest.add(1.0);
        digest.add(4.0);
        assert_eq!(
            (digest.quantile(0.0), digest.quantile(0.5), digest.quantile(1.0)),
            (Some(1.0), Some(4.0), Some(7.0))
        );
    }

    #[test]
    fn merged_digests_have_the_quantiles_of_both() {
        let (mut low, mut high) = (Digest::default(), Digest::default());
        numbers(5_000).for_each(|number| low.add(number));
        numbers(5_000).for_each(|number| high.add(number + 1.0));
        low.merge(high);
        let median = low.quantile(0.5).expect("a number");
        assert!((median - 1.0).abs() < 0.03, "{median}");
        assert_eq!((low.quantile(0.0), low.quantile(1.0).map(f64::round)), (Some(0.0), Some(2.0)));
    }
}
