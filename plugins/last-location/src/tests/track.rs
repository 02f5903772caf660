use proptest::prelude::*;

use super::*;
use crate::track::{advance, haversine};

const LISBON: (f64, f64) = (38.7167, -9.1333);
const PORTO: (f64, f64) = (41.1496, -8.611);

fn at((lat, lon): (f64, f64), ts: Option<u64>) -> Location<'static> {
    Location { patient_id: "123".into(), lat, lon, ts }
}

#[test]
fn an_entry_has_five_little_endian_words() {
    let track = Track { lat: 1.0, lon: -2.0, ts: 0x0102, count: 3, total_m: 0.5 };
    let expected = [
        0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0xe0, 0x3f,
    ];
    assert_eq!(track.encode(), expected);
    assert_eq!(Track::decode(&expected), Ok(track));
}

#[test]
fn an_entry_of_another_plugin_is_rejected() {
    for entry in [&[][..], &[0; 39], &[0; 41], &[0; 80], &[0xff; 40]] {
        assert!(matches!(Track::decode(entry), Err(Failure::Reject(_))));
    }
}

#[test]
fn the_first_location_has_moved_nothing() {
    let (track, step) = advance(None, &at(LISBON, Some(5)), 9);
    let expected = Track { lat: LISBON.0, lon: LISBON.1, ts: 5, count: 1, total_m: 0.0 };
    assert_eq!((track, step.moved_m), (expected, 0.0));
}

#[test]
fn each_further_location_counts_and_adds_its_distance() {
    let (first, _) = advance(None, &at(LISBON, None), 5);
    let (second, to_porto) = advance(Some(first), &at(PORTO, None), 6);
    let (third, back) = advance(Some(second), &at(LISBON, None), 7);
    let (fourth, stayed) = advance(Some(third), &at(LISBON, None), 8);
    assert_eq!([second.count, third.count, fourth.count], [2, 3, 4]);
    assert_eq!(to_porto.moved_m, back.moved_m);
    assert_eq!(stayed.moved_m, 0.0);
    assert_eq!(fourth.total_m, to_porto.moved_m + back.moved_m);
}

#[test]
fn the_values_own_time_wins_over_the_records() {
    assert_eq!(advance(None, &at(LISBON, Some(5)), 9).0.ts, 5);
    assert_eq!(advance(None, &at(LISBON, None), 9).0.ts, 9);
}

#[test]
fn lisbon_to_porto_is_what_other_calculators_say() {
    let metres = haversine(LISBON.0, LISBON.1, PORTO.0, PORTO.1);
    assert!((metres - 274_165.4).abs() < 0.1, "{metres}");
}

#[test]
fn the_poles_and_opposite_points_are_half_a_circumference_apart() {
    let half = std::f64::consts::PI * 6_371_000.0;
    for metres in [haversine(90.0, 0.0, -90.0, 0.0), haversine(0.0, 0.0, 0.0, 180.0)] {
        assert!((metres - half).abs() < 1e-6, "{metres}");
    }
}

#[test]
#[cfg(feature = "speed")]
fn speed_is_distance_by_seconds_and_0_where_time_stands_still() {
    let (first, start) = advance(None, &at(LISBON, Some(1_000)), 0);
    assert_eq!(start.speed_mps, 0.0);
    let (_, step) = advance(Some(first), &at(PORTO, Some(3_500)), 0);
    assert_eq!(step.speed_mps, step.moved_m / 2.5);
    for ts in [1_000, 999] {
        assert_eq!(advance(Some(first), &at(PORTO, Some(ts)), 0).1.speed_mps, 0.0);
    }
}

/// The angle between two unit vectors: another formula for the same distance.
fn by_vectors(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let unit = |lat: f64, lon: f64| {
        let (lat, lon) = (lat.to_radians(), lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let (a, b) = (unit(lat1, lon1), unit(lat2, lon2));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let sine = cross.iter().map(|x| x * x).sum::<f64>().sqrt();
    let cosine: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    6_371_000.0 * sine.atan2(cosine)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_entry_reads_back_as_it_was(
        lat in -90.0..90.0, lon in -180.0..180.0, ts: u64, count: u64, total_m in 0.0..1e12,
    ) {
        let track = Track { lat, lon, ts, count, total_m };
        prop_assert_eq!(Track::decode(&track.encode()), Ok(track));
    }

    #[test]
    fn the_distance_is_that_of_another_formula(
        lat1 in -90.0..90.0, lon1 in -180.0..180.0, lat2 in -90.0..90.0, lon2 in -180.0..180.0,
    ) {
        let (metres, expected) = (haversine(lat1, lon1, lat2, lon2), by_vectors(lat1, lon1, lat2, lon2));
        // Near opposite points the haversine loses half of its digits.
        prop_assert!((metres - expected).abs() < 0.5, "{} {}", metres, expected);
        prop_assert_eq!(metres, haversine(lat2, lon2, lat1, lon1));
    }

    #[test]
    fn short_distances_are_exact_to_a_millimetre(
        lat in -80.0..80.0, lon in -179.0..179.0, north in -0.01..0.01, east in -0.01..0.01,
    ) {
        let metres = haversine(lat, lon, lat + north, lon + east);
        prop_assert!((metres - by_vectors(lat, lon, lat + north, lon + east)).abs() < 1e-3);
    }
}
