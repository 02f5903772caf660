use crate::fences::position;

/// Mean radius of the Earth, in metres, taken as a sphere.
const EARTH_RADIUS_M: f64 = 6_371_000.0;
/// Half of the Earth's circumference: nothing is farther away.
const FARTHEST_M: f64 = EARTH_RADIUS_M * std::f64::consts::PI;

/// All positions at most so far from its centre.
#[derive(Debug, PartialEq)]
pub struct Circle {
    lat: f64,
    lon: f64,
    radius_m: f64,
}

impl Circle {
    /// `lat lon, radius`: degrees and metres.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (centre, radius) = text
            .split_once(',')
            .ok_or("a circle is its centre and its radius in metres, such as \"38.7167 -9.1333, 150\"")?;
        let (lat, lon) = position(centre)?;
        let radius = radius.trim();
        let radius_m = radius.parse().ok().filter(|metres| *metres > 0.0 && *metres < FARTHEST_M);
        let radius_m = radius_m.ok_or_else(|| {
            format!("{radius:?} is no radius: write metres, more than 0 and less than {FARTHEST_M:.0}")
        })?;
        Ok(Circle { lat, lon, radius_m })
    }

    /// The edge belongs to it.
    pub fn contains(&self, lat: f64, lon: f64) -> bool {
        distance_m(self.lat, self.lon, lat, lon) <= self.radius_m
    }
}

/// Haversine, over poles and antimeridian too.
fn distance_m(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let north = ((lat2 - lat1).to_radians() / 2.0).sin();
    let east = ((lon2 - lon1).to_radians() / 2.0).sin();
    let a = north * north + lat1.to_radians().cos() * lat2.to_radians().cos() * east * east;
    // Rounding may take the root of opposite points beyond 1.
    2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
}
