//! The fences of the stage's `config`.

use std::collections::BTreeSet;

use gregor_sdk::config::{Config, Settings};

use crate::circle::Circle;
use crate::polygon::Polygon;

const MAX_FENCES: usize = 1_000;
/// Of all polygons together: each record looks at those that may be around it.
const MAX_VERTICES: usize = 10_000;

pub struct Fences(Vec<Fence>);

struct Fence {
    name: String,
    area: Area,
}

enum Area {
    Circle(Circle),
    Polygon(Polygon),
}

impl Area {
    fn contains(&self, lat: f64, lon: f64) -> bool {
        match self {
            Self::Circle(circle) => circle.contains(lat, lon),
            Self::Polygon(polygon) => polygon.contains(lat, lon),
        }
    }
}

impl Settings for Fences {
    fn read(config: &Config) -> Result<Self, String> {
        let mut fences: Vec<Fence> = Vec::new();
        let mut vertices = 0;
        for key in config.names() {
            let wrong = |why: String| format!("`{key}` in the config: {why}");
            let text = config.text(key).unwrap_or_default();
            let (name, area) = if let Some(name) = key.strip_prefix("circle-") {
                (name, Circle::parse(text).map(Area::Circle))
            } else if let Some(name) = key.strip_prefix("polygon-") {
                let polygon = Polygon::parse(text).inspect(|polygon| vertices += polygon.vertices());
                (name, polygon.map(Area::Polygon))
            } else {
                return Err(wrong("a fence is named `circle-…` or `polygon-…`".into()));
            };
            let area = area.map_err(wrong)?;
            if name.is_empty() {
                return Err(wrong("the fence has no name after the `-`".into()));
            }
            if fences.iter().any(|fence| fence.name == name) {
                return Err(wrong(format!("another fence is named `{name}` too")));
            }
            fences.push(Fence { name: name.to_owned(), area });
        }
        if fences.is_empty() {
            return Err(
                "geofence has no fence in its config: add config = { circle-ward = \"38.7167 -9.1333, 150\" } \
                        to the stage"
                    .into(),
            );
        }
        if fences.len() > MAX_FENCES || vertices > MAX_VERTICES {
            return Err(format!(
                "{} fences with {vertices} corners are more than {MAX_FENCES} and {MAX_VERTICES}: \
                 use several stages, in pipelines of their own",
                fences.len()
            ));
        }
        Ok(Fences(fences))
    }
}

impl Fences {
    /// Whether there is a fence of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|fence| fence.name == name)
    }

    /// The names of the fences that a position is in.
    pub fn around(&self, lat: f64, lon: f64) -> BTreeSet<&str> {
        let around = self.0.iter().filter(|fence| fence.area.contains(lat, lon));
        around.map(|fence| fence.name.as_str()).collect()
    }
}

/// `lat lon`, in degrees.
pub fn position(text: &str) -> Result<(f64, f64), String> {
    let number = |text: &str, limit: f64| text.parse().ok().filter(|degrees: &f64| degrees.abs() <= limit);
    let mut words = text.split_whitespace();
    let position = (words.next(), words.next(), words.next());
    let (Some(lat), Some(lon), None) = position else {
        return Err(format!("{text:?} is no position: write latitude and longitude, such as 38.7167 -9.1333"));
    };
    let lat = number(lat, 90.0).ok_or_else(|| format!("{lat:?} is no latitude: write degrees from -90 to 90"))?;
    let lon = number(lon, 180.0).ok_or_else(|| format!("{lon:?} is no longitude: write degrees from -180 to 180"))?;
    Ok((lat, lon))
}
