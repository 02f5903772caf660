//! What the cache keeps of a patient, and how a location changes it.

use gregor_sdk::{Failure, reject};
use location::Location;

/// Mean radius of the Earth, in metres, taken as a sphere.
const EARTH_RADIUS_M: f64 = 6_371_000.0;

/// One patient's entry in the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// Milliseconds since the Unix epoch.
    pub ts: u64,
    /// Records so far.
    pub count: u64,
    /// Metres so far.
    pub total_m: f64,
}

/// What one location adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Metres since the position before; 0 for the first.
    pub moved_m: f64,
    /// Metres a second since the position before; 0 for the first and where
    /// time does not advance.
    #[cfg(feature = "speed")]
    pub speed_mps: f64,
}

impl Track {
    /// Bytes of an entry: `lat`, `lon`, `ts`, `count`, `total_m`, each of eight
    /// bytes, little-endian.
    pub const LEN: usize = 40;

    pub fn encode(&self) -> [u8; Self::LEN] {
        let words = [self.lat.to_bits(), self.lon.to_bits(), self.ts, self.count, self.total_m.to_bits()];
        let mut entry = [0; Self::LEN];
        for (bytes, word) in entry.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        entry
    }

    /// # Errors
    /// A reject for bytes that [`Track::encode`] does not write: the entry is
    /// another plugin's, or of a version with another layout.
    pub fn decode(entry: &[u8]) -> Result<Self, Failure> {
        let ([lat, lon, ts, count, total_m], []) = entry.as_chunks::<8>() else {
            return Err(reject(format!(
                "the patient's cache entry has {} bytes, not {}: another plugin wrote it",
                entry.len(),
                Self::LEN
            )));
        };
        let track = Self {
            lat: f64::from_le_bytes(*lat),
            lon: f64::from_le_bytes(*lon),
            ts: u64::from_le_bytes(*ts),
            count: u64::from_le_bytes(*count),
            total_m: f64::from_le_bytes(*total_m),
        };
        if !(track.lat.is_finite() && track.lon.is_finite() && track.total_m.is_finite()) {
            return Err(reject("the patient's cache entry holds no position: another plugin wrote it"));
        }
        Ok(track)
    }
}

/// The patient's entry once it is at `location`, and what that adds.
/// `record_ts` serves where the location carries no time of its own.
pub fn advance(before: Option<Track>, location: &Location<'_>, record_ts: u64) -> (Track, Step) {
    let moved_m = before.map_or(0.0, |track| haversine(track.lat, track.lon, location.lat, location.lon));
    let track = Track {
        lat: location.lat,
        lon: location.lon,
        ts: location.ts.unwrap_or(record_ts),
        count: before.map_or(0, |track| track.count).saturating_add(1),
        total_m: before.map_or(0.0, |track| track.total_m) + moved_m,
    };
    let step = Step {
        moved_m,
        #[cfg(feature = "speed")]
        speed_mps: speed(before, track.ts, moved_m),
    };
    (track, step)
}

#[cfg(feature = "speed")]
fn speed(before: Option<Track>, ts: u64, moved_m: f64) -> f64 {
    match before.and_then(|track| ts.checked_sub(track.ts)) {
        None | Some(0) => 0.0,
        Some(elapsed_ms) => moved_m / (elapsed_ms as f64 / 1000.0),
    }
}

/// Metres along the sphere between two positions in degrees.
pub fn haversine(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let north = ((lat2 - lat1).to_radians() / 2.0).sin();
    let east = ((lon2 - lon1).to_radians() / 2.0).sin();
    let a = north * north + lat1.to_radians().cos() * lat2.to_radians().cos() * east * east;
    // Rounding may take the root of opposite points beyond 1.
    2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
}
