//! Scans: their order, their pages, what they see.

use super::{Backend, all, commit, keys, pairs, set};
use crate::plan::CacheLimits;

pub fn a_scan_pages_in_order_of_bytes(mut backend: Backend) {
    let mut cache = backend.cache(0);
    for key in ["b/2", "b/10", "a/1", "b/ö", "b0", "c"] {
        cache.set(key, key.as_bytes().to_vec(), None).unwrap();
    }
    let first = cache.scan("b/", None, 2).unwrap();
    assert_eq!(keys(&first), ["b/10", "b/2"]);
    assert_eq!(keys(&cache.scan("b/", Some("b/2"), 2).unwrap()), ["b/ö"]);
    assert_eq!(keys(&cache.scan("b/", Some("a"), 1).unwrap()), ["b/10"]);
    assert!(cache.scan("b/", Some("c"), 2).unwrap().is_empty());
    assert!(cache.scan("b/", None, 0).unwrap().is_empty());
}

pub fn a_scan_sees_what_changed_over_what_is_committed(mut backend: Backend) {
    let mut cache = backend.cache(0);
    for key in ["a", "b", "c", "d", "x"] {
        set(&mut cache, key, "old");
    }
    commit(&mut cache, 0, 1);
    set(&mut cache, "b", "new");
    set(&mut cache, "bb", "new");
    cache.delete("c").unwrap();
    set(&mut cache, "e", "new");
    assert_eq!(
        all(&mut cache),
        pairs(&[("a", "old"), ("b", "new"), ("bb", "new"), ("d", "old"), ("e", "new"), ("x", "old")])
    );
    assert_eq!(keys(&cache.scan("", Some("b"), 2).unwrap()), ["bb", "d"]);
    assert_eq!(keys(&cache.scan("b", None, 9).unwrap()), ["b", "bb"]);
    cache.undo();
    assert_eq!(keys(&cache.scan("", Some("b"), 2).unwrap()), ["bb", "d"]);
    cache.roll_back().unwrap();
    assert_eq!(keys(&cache.scan("", None, 9).unwrap()), ["a", "b", "c", "d", "x"]);
}

pub fn a_scan_of_large_values_ends_early_and_goes_on(mut backend: Backend) {
    let mut cache = backend.cache_with(0, CacheLimits { bytes: 1 << 30, value: 1 << 20, ..super::LIMITS });
    for n in 0..5 {
        cache.set(&format!("k{n}"), vec![0; 600 << 10], None).unwrap();
        if n == 2 {
            cache.keep();
            commit(&mut cache, 0, 1);
        }
    }
    let (mut after, mut seen) = (None::<String>, 0);
    loop {
        let page = cache.scan("k", after.as_deref(), 1_000).unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        seen += page.len();
        after = Some(last.clone());
    }
    assert_eq!(seen, 5);
}
