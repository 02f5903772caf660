//! Chance that a seed decides, so that a run can be had again.

use std::time::Duration;

/// A number of chance for each triple: SplitMix64's last steps, chained.
pub fn mix(seed: u64, one: u64, other: u64) -> u64 {
    let step = |state: u64| {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    step(step(step(seed) ^ one) ^ other)
}

/// One draw after the other.
pub struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { seed, drawn: 0 }
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.drawn += 1;
        mix(self.seed, 0xc0de, self.drawn) % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// Lets up to `longest` pass: the moment of the fault is part of the test.
    pub fn pass(&mut self, longest: Duration) {
        std::thread::sleep(Duration::from_millis(self.below(longest.as_millis() as u64 + 1)));
    }
}
