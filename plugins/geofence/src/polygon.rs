use crate::fences::position;

/// Of one polygon: each pair of edges is looked at once, at start.
const MAX_VERTICES: usize = 1_000;

/// A ring of straight lines in the plane of longitude and latitude, as GeoJSON
/// has it (RFC 7946), each the short way round the Earth.
#[derive(Debug, PartialEq)]
pub struct Polygon {
    /// In order; longitudes go on past 180 where the ring crosses the antimeridian.
    ring: Vec<Point>,
    least: Point,
    most: Point,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    lat: f64,
    lon: f64,
}

type Edge = (Point, Point);

impl Polygon {
    /// `lat lon, lat lon, …`, in either direction; the first corner may stand at the
    /// end once more.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut corners = text.split(',').map(position).collect::<Result<Vec<_>, _>>()?;
        if corners.len() > 1 && corners.first() == corners.last() {
            corners.pop();
        }
        if !(3..=MAX_VERTICES).contains(&corners.len()) {
            return Err(format!("a polygon has 3 to {MAX_VERTICES} corners, not {}", corners.len()));
        }
        let ring = unwrapped(&corners)?;
        let by = |pick: fn(f64, f64) -> f64| {
            let start = ring[0];
            ring.iter().fold(start, |a, b| Point { lat: pick(a.lat, b.lat), lon: pick(a.lon, b.lon) })
        };
        let (least, most) = (by(f64::min), by(f64::max));
        if most.lon - least.lon >= 360.0 {
            return Err("the polygon goes once round the Earth: split it".into());
        }
        let polygon = Polygon { ring, least, most };
        polygon.check_edges()?;
        Ok(polygon)
    }

    pub fn vertices(&self) -> usize {
        self.ring.len()
    }

    /// The edge belongs to it, as far as doubles can tell.
    pub fn contains(&self, lat: f64, lon: f64) -> bool {
        if !(self.least.lat..=self.most.lat).contains(&lat) {
            return false;
        }
        [-360.0, 0.0, 360.0]
            .iter()
            .map(|turn| lon + turn)
            .any(|lon| (self.least.lon..=self.most.lon).contains(&lon) && self.contains_unwrapped(Point { lat, lon }))
    }

    /// Whether a line to the east crosses the ring an odd number of times.
    fn contains_unwrapped(&self, point: Point) -> bool {
        let mut inside = false;
        for (a, b) in self.edges() {
            if turn(a, b, point) == 0.0 && between(a, b, point) {
                return true;
            }
            if (a.lat > point.lat) != (b.lat > point.lat) {
                let crossing = a.lon + (point.lat - a.lat) / (b.lat - a.lat) * (b.lon - a.lon);
                inside ^= point.lon < crossing;
            }
        }
        inside
    }

    fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        let next = self.ring.iter().cycle().skip(1);
        self.ring.iter().zip(next).map(|(a, b)| (*a, *b))
    }

    fn check_edges(&self) -> Result<(), String> {
        let edges: Vec<Edge> = self.edges().collect();
        let next = |at: usize| (at + 1) % edges.len();
        if let Some(at) = edges.iter().position(|(a, b)| a == b) {
            return Err(format!("corner {} of the polygon is there twice in a row", at + 1));
        }
        for (at, (a, b)) in edges.iter().copied().enumerate() {
            let (_, c) = edges[next(at)];
            if turn(a, b, c) == 0.0 && !between(a, c, b) {
                return Err(format!("the polygon goes back on itself at corner {}", next(at) + 1));
            }
            for (other, edge) in edges.iter().enumerate().skip(at + 2) {
                if next(other) != at && touch((a, b), *edge) {
                    let (at, other) = (at + 1, other + 1);
                    return Err(format!("the polygon crosses itself: its edges after corners {at} and {other} meet"));
                }
            }
        }
        Ok(())
    }
}

/// The corners as a ring in the plane.
fn unwrapped(corners: &[(f64, f64)]) -> Result<Vec<Point>, String> {
    let mut turns = 0.0;
    let mut ring = Vec::with_capacity(corners.len());
    for (at, &(lat, lon)) in corners.iter().enumerate() {
        if at > 0 {
            turns += turns_between(corners[at - 1].1, lon, at)?;
        }
        ring.push(Point { lat, lon: lon + 360.0 * turns });
    }
    turns += turns_between(corners[corners.len() - 1].1, corners[0].1, corners.len())?;
    if turns != 0.0 {
        return Err("the polygon encloses a pole: use a circle".into());
    }
    Ok(ring)
}

/// 1 or -1 where the short way from one longitude to another, after corner
/// `corner`, crosses the antimeridian to the east or to the west.
fn turns_between(from: f64, to: f64, corner: usize) -> Result<f64, String> {
    match to - from {
        east if east.abs() == 180.0 => {
            Err(format!("the edge after corner {corner} spans 180 degrees, so east or west is not told: add a corner"))
        }
        east if east > 180.0 => Ok(-1.0),
        east if east < -180.0 => Ok(1.0),
        _ => Ok(0.0),
    }
}

/// Positive where `c` lies to the left of the line from `a` to `b`, 0 on it.
fn turn(a: Point, b: Point, c: Point) -> f64 {
    (b.lon - a.lon) * (c.lat - a.lat) - (b.lat - a.lat) * (c.lon - a.lon)
}

/// Whether `c`, which is on the line through `a` and `b`, lies between them.
fn between(a: Point, b: Point, c: Point) -> bool {
    (a.lon.min(b.lon)..=a.lon.max(b.lon)).contains(&c.lon) && (a.lat.min(b.lat)..=a.lat.max(b.lat)).contains(&c.lat)
}

fn touch((a, b): Edge, (c, d): Edge) -> bool {
    let (c_side, d_side) = (turn(a, b, c), turn(a, b, d));
    let (a_side, b_side) = (turn(c, d, a), turn(c, d, b));
    let apart = |one: f64, other: f64| (one > 0.0 && other > 0.0) || (one < 0.0 && other < 0.0);
    if c_side == 0.0 && d_side == 0.0 {
        return between(a, b, c) || between(a, b, d) || between(c, d, a);
    }
    !apart(c_side, d_side) && !apart(a_side, b_side)
}
