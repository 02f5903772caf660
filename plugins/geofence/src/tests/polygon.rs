use proptest::prelude::*;

use crate::polygon::Polygon;

fn polygon(text: &str) -> Polygon {
    Polygon::parse(text).expect("a polygon")
}

/// An L: the corner to the north-east is cut out.
const L: &str = "0 0, 0 4, 2 4, 2 2, 4 2, 4 0";

#[test]
fn it_holds_what_its_ring_encloses() {
    for text in [L.to_owned(), format!("{L}, 0 0"), "4 0, 4 2, 2 2, 2 4, 0 4, 0 0".into()] {
        let polygon = polygon(&text);
        for (lat, lon) in [(1.0, 1.0), (1.0, 3.0), (3.0, 1.0), (1.999, 3.999)] {
            assert!(polygon.contains(lat, lon), "({lat}, {lon})");
        }
        for (lat, lon) in [(3.0, 3.0), (2.001, 2.001), (-1.0, 1.0), (5.0, 1.0), (1.0, -1.0), (1.0, 5.0), (1.0, -179.0)]
        {
            assert!(!polygon.contains(lat, lon), "({lat}, {lon})");
        }
    }
}

#[test]
fn its_corners_and_edges_belong_to_it() {
    let polygon = polygon(L);
    for (lat, lon) in [(0.0, 0.0), (0.0, 4.0), (2.0, 2.0), (4.0, 0.0), (0.0, 2.0), (2.0, 3.0), (3.0, 2.0), (2.5, 0.0)] {
        assert!(polygon.contains(lat, lon), "({lat}, {lon})");
    }
}

#[test]
fn a_line_that_meets_corners_counts_them_once() {
    let diamond = polygon("0 1, 1 0, 0 -1, -1 0");
    assert!(diamond.contains(0.0, 0.0));
    assert!(!diamond.contains(0.0, -2.0) && !diamond.contains(1.0, -0.5) && !diamond.contains(-1.0, -0.5));
}

#[test]
fn edges_go_the_short_way_so_that_it_may_cross_the_antimeridian() {
    for text in ["-1 179, -1 -179, 1 -179, 1 179", "1 -179, 1 179, -1 179, -1 -179"] {
        let polygon = polygon(text);
        for lon in [179.0, 179.5, 180.0, -180.0, -179.5, -179.0] {
            assert!(polygon.contains(0.0, lon), "{lon}");
        }
        for lon in [178.9, -178.9, 0.0] {
            assert!(!polygon.contains(0.0, lon), "{lon}");
        }
    }
    let touching = polygon("0 170, 0 180, 10 180");
    assert!(touching.contains(5.0, -180.0) && !touching.contains(5.0, -179.9));
}

#[test]
fn what_is_no_polygon_is_refused_with_what_to_write() {
    for (text, told) in [
        ("", "\"\" is no position"),
        ("0 0, 0 1,", "\"\" is no position"),
        ("0 0, 0 1, 1", "\" 1\" is no position"),
        ("0 0, 0 1, 91 0", "\"91\" is no latitude"),
        ("0 0, 0 1", "3 to 1000 corners, not 2"),
        ("0 0, 0 1, 0 0", "3 to 1000 corners, not 2"),
        ("0 0, 0 1, 0 1, 1 0", "corner 2 of the polygon is there twice in a row"),
        ("0 0, 0 1, 0 2", "goes back on itself at corner"),
        ("0 0, 0 2, 0 1, 1 1", "goes back on itself at corner 2"),
        ("0 0, 1 1, 1 0, 0 1", "its edges after corners 1 and 3 meet"),
        ("0 0, 0 4, 4 4, 0 2, 4 0", "its edges after corners 1 and 3 meet"),
        ("0 0, 0 180, 1 0", "the edge after corner 1 spans 180 degrees"),
        ("0 0, 1 90, 0 180", "the edge after corner 3 spans 180 degrees"),
        ("80 0, 80 120, 80 -120", "encloses a pole"),
    ] {
        let refused = Polygon::parse(text).expect_err(text);
        assert!(refused.contains(told), "{text}: {refused}");
    }
    let many = |corners: u32| {
        let upper = (0..corners - 1).map(|at| format!("{} {}", 1.0 + f64::from(at % 2), f64::from(at) / 100.0));
        upper.chain(["0 5".to_owned()]).collect::<Vec<_>>().join(", ")
    };
    assert!(Polygon::parse(&many(1_000)).is_ok());
    assert!(Polygon::parse(&many(1_001)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Moved along its parallel, over the antimeridian too, a polygon holds the
    /// same positions, moved as far.
    #[test]
    fn where_it_lies_does_not_matter(east in -180..180_i32, lat in -1..6_i32, lon in -1..6_i32) {
        let moved = |lon: i32| (lon + east + 180).rem_euclid(360) - 180;
        let corners = [(0, 0), (0, 4), (2, 4), (2, 2), (4, 2), (4, 0)];
        let text: Vec<String> = corners.iter().map(|(lat, lon)| format!("{lat} {}", moved(*lon))).collect();
        let (there, here) = (polygon(&text.join(",")), polygon(L));
        let contains = there.contains(f64::from(lat), f64::from(moved(lon)));
        prop_assert_eq!(contains, here.contains(f64::from(lat), f64::from(lon)));
    }

    #[test]
    fn a_convex_polygon_holds_what_is_left_of_all_its_edges(
        corners in 3..12_u32, lat in -1.2..1.2_f64, lon in -1.2..1.2_f64,
    ) {
        let corner = |at: u32| {
            let angle = std::f64::consts::TAU * f64::from(at) / f64::from(corners);
            (angle.sin(), angle.cos())
        };
        let text: Vec<String> = (0..corners).map(corner).map(|(lat, lon)| format!("{lat} {lon}")).collect();
        let left = (0..corners).all(|at| {
            let ((lat1, lon1), (lat2, lon2)) = (corner(at), corner(at + 1));
            (lon2 - lon1) * (lat - lat1) - (lat2 - lat1) * (lon - lon1) > 0.0
        });
        prop_assert_eq!(polygon(&text.join(",")).contains(lat, lon), left);
    }
}
