use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json;
use crate::window::{Aggregate, Count, Last, Max, Mean, Min, Sum};

#[test]
fn each_aggregate_does_what_its_name_says() {
    fn of<A: Aggregate + Serialize + DeserializeOwned>(values: &[(u64, A::Value)]) -> A::Output {
        let (at, value) = values[0].clone();
        let first = A::first(at, value);
        let all = values[1..].iter().cloned().fold(first, |state, (at, value)| {
            // As between two records: through the cache.
            let entry = json::write(&state).expect("JSON");
            let mut state: A = json::read(&entry).expect("as written");
            state.add(at, value);
            state
        });
        all.output()
    }
    let values = [(2, 1.5), (3, -2.0), (1, 0.25)];
    assert_eq!(of::<Count>(&[(0, ()), (0, ())]), 2);
    assert_eq!(of::<Sum>(&values), -0.25);
    assert_eq!(of::<Min>(&values), -2.0);
    assert_eq!(of::<Max>(&values), 1.5);
    assert_eq!(of::<Mean>(&[(0, 0.1), (0, 0.2), (0, 0.3)]), (0.1 + 0.2 + 0.3) / 3.0);
    assert_eq!(of::<Last<f64>>(&values), -2.0, "by timestamp");
    assert_eq!(of::<Last<f64>>(&[(1, 1.0), (1, 2.0)]), 2.0, "then by arrival");
    assert_eq!(of::<Sum>(&[(0, f64::MAX), (0, f64::MAX), (0, 1.0)]), f64::INFINITY);
    assert!(of::<Mean>(&[(0, f64::INFINITY), (0, f64::NEG_INFINITY), (0, 1.0)]).is_nan());
}

#[test]
fn merged_sessions_have_the_aggregates_of_both() {
    fn of<A: Aggregate>(one: (u64, A::Value), other: (u64, A::Value)) -> A::Output {
        let mut state = A::first(one.0, one.1);
        state.merge(A::first(other.0, other.1));
        state.output()
    }
    assert_eq!(of::<Count>((0, ()), (9, ())), 2);
    assert_eq!(of::<Sum>((0, 1.0), (9, 2.0)), 3.0);
    assert_eq!(of::<Min>((0, 1.0), (9, 2.0)), 1.0);
    assert_eq!(of::<Max>((0, 1.0), (9, 2.0)), 2.0);
    assert_eq!(of::<Mean>((0, 1.0), (9, 2.0)), 1.5);
    assert_eq!(of::<Last<f64>>((0, 1.0), (9, 2.0)), 2.0);
    assert_eq!(of::<(Count, Last<u8>)>((0, ((), 1)), (9, ((), 2))), (2, 2));
}
