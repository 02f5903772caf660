use gregor_sdk::window::Aggregate;
use serde::{Deserialize, Serialize};

/// Degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub lat: f64,
    pub lon: f64,
}

/// The sums of positions in the order of arrival, so that whoever adds the same
/// records in the same order has the same mean, to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanLocation {
    pub count: u64,
    lat: f64,
    lon: f64,
}

impl MeanLocation {
    pub fn mean(&self) -> Position {
        let count = self.count as f64;
        Position { lat: self.lat / count, lon: self.lon / count }
    }
}

impl Aggregate for MeanLocation {
    type Value = Position;
    type Output = Self;

    fn first(at: u64, position: Position) -> Self {
        let mut none = MeanLocation { count: 0, lat: 0.0, lon: 0.0 };
        none.add(at, position);
        none
    }

    fn add(&mut self, _: u64, position: Position) {
        self.count += 1;
        self.lat += position.lat;
        self.lon += position.lon;
    }

    fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.lat += later.lat;
        self.lon += later.lon;
    }

    fn output(&self) -> Self {
        *self
    }
}
