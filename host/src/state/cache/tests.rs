use super::*;
use crate::state::MemoryStore;
use proptest::prelude::*;

fn cache() -> Cache {
    cache_with(CacheLimits { bytes: 10_000, value: 1_000 })
}

fn cache_with(limits: CacheLimits) -> Cache {
    let mut cache = Cache::new(Box::new(MemoryStore::default()), limits, true);
    cache.begin(1_000, None);
    cache
}

fn keys(found: &[(String, Vec<u8>)]) -> Vec<&str> {
    found.iter().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn writes_of_a_failed_record_are_undone() {
    let mut cache = cache();
    cache.set("kept", b"1".to_vec(), Some(50)).unwrap();
    cache.keep();
    cache.begin(1_001, None);
    cache.set("kept", b"2".to_vec(), None).unwrap();
    cache.set("kept", b"3".to_vec(), None).unwrap();
    cache.set("new", b"x".to_vec(), None).unwrap();
    assert!(cache.delete("kept").unwrap());
    cache.undo();
    assert_eq!(cache.get("kept").unwrap(), Some(&b"1"[..]));
    assert_eq!(cache.get("new").unwrap(), None);
    assert_eq!((cache.len(), cache.bytes()), (1, 5));
    cache.begin(1_050, None);
    assert_eq!(cache.get("kept").unwrap(), None, "the expiry is back as well");
}

#[test]
fn an_entry_past_its_time_to_live_is_gone() {
    let mut cache = cache();
    cache.set("a", b"1".to_vec(), Some(10)).unwrap();
    cache.keep();
    cache.begin(1_009, None);
    assert!(cache.get("a").unwrap().is_some());
    cache.begin(1_010, None);
    assert_eq!(cache.get("a").unwrap(), None);
    assert!(cache.scan("", None, 10).unwrap().is_empty());
    assert!(!cache.delete("a").unwrap(), "no entry that lives");
    cache.keep();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

#[test]
fn sweeping_frees_expired_entries_only() {
    let mut cache = cache();
    cache.set("a", b"1".to_vec(), Some(10)).unwrap();
    cache.set("b", b"1".to_vec(), Some(20)).unwrap();
    cache.set("a", b"1".to_vec(), None).unwrap();
    cache.keep();
    cache.sweep(1_020).unwrap();
    cache.begin(1_020, None);
    assert_eq!(keys(&cache.scan("", None, 10).unwrap()), ["a"]);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_scan_pages_in_order_of_bytes() {
    let mut cache = cache();
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

#[test]
fn a_scan_of_large_values_ends_early_and_goes_on() {
    let mut cache = cache_with(CacheLimits { bytes: 1 << 30, value: 1 << 20 });
    for n in 0..5 {
        cache.set(&format!("k{n}"), vec![0; 600 << 10], None).unwrap();
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

#[test]
fn quotas_name_their_limit_and_replacing_frees() {
    let mut cache = cache();
    assert_eq!(cache.set("k", vec![0; 1_001], None), Err(CacheError::ValueTooLarge(1_000)));
    for n in 0..9 {
        cache.set(&format!("k{n}"), vec![0; 1_000], None).unwrap();
    }
    assert_eq!(cache.set("k9", vec![0; 1_000], None), Err(CacheError::QuotaExceeded(10_000)));
    cache.set("k8", vec![1; 1_000], None).unwrap();
    cache.undo();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

#[test]
fn keys_are_1_to_512_bytes() {
    let mut cache = cache();
    assert_eq!(cache.set("", vec![], None), Err(CacheError::InvalidKey));
    assert_eq!(cache.set(&"é".repeat(257), vec![], None), Err(CacheError::InvalidKey));
    cache.set(&"é".repeat(256), vec![], None).unwrap();
    assert_eq!(cache.get(&"é".repeat(256)).unwrap(), Some(&[][..]), "an empty value is a value");
    assert_eq!(cache.get("").unwrap(), None);
}

#[test]
fn increment_counts_from_nothing_and_refuses_what_is_no_number() {
    let mut cache = cache();
    assert_eq!(cache.increment("n", 5), Ok(5));
    assert_eq!(cache.increment("n", -7), Ok(-2));
    assert_eq!(cache.get("n").unwrap(), Some(&b"-2"[..]));
    cache.set("x", b"12a".to_vec(), None).unwrap();
    assert_eq!(cache.increment("x", 1), Err(CacheError::NotANumber));
    cache.set("max", i64::MAX.to_string().into_bytes(), None).unwrap();
    assert_eq!(cache.increment("max", 1), Err(CacheError::NotANumber));
    cache.set("ttl", b"1".to_vec(), Some(10)).unwrap();
    cache.increment("ttl", 1).unwrap();
    cache.keep();
    cache.begin(1_010, None);
    assert_eq!(cache.get("ttl").unwrap(), None, "increment keeps the expiry");
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, Option<u64>),
    Delete(u8),
    Keep,
    Undo,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, any::<u8>(), proptest::option::of(1..40u64)).prop_map(|(k, v, t)| Step::Set(k, v, t)),
        2 => (0..6u8).prop_map(Step::Delete),
        2 => Just(Step::Keep),
        2 => Just(Step::Undo),
        1 => (1..30u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Against a plain sorted map of what lives.
    #[test]
    fn a_cache_equals_a_sorted_map(steps in proptest::collection::vec(step(), 1..200)) {
        let mut cache = cache();
        let mut now = 1_000;
        let mut staged = std::collections::BTreeMap::<String, (Vec<u8>, Option<u64>)>::new();
        let mut kept = staged.clone();
        for step in steps {
            match step {
                Step::Set(k, v, ttl) => {
                    cache.set(&k.to_string(), vec![v], ttl).unwrap();
                    staged.insert(k.to_string(), (vec![v], ttl.map(|ttl| now + ttl)));
                }
                Step::Delete(k) => {
                    let lived = staged.remove(&k.to_string()).is_some_and(|(_, at)| at.is_none_or(|at| at > now));
                    prop_assert_eq!(cache.delete(&k.to_string()).unwrap(), lived);
                }
                Step::Keep => { cache.keep(); kept = staged.clone(); }
                Step::Undo => { cache.undo(); staged = kept.clone(); }
                Step::Pass(ms) => { now += ms; cache.keep(); cache.sweep(now).unwrap(); cache.begin(now, None); kept = staged.clone(); }
            }
            let lives: Vec<_> = staged.iter()
                .filter(|(_, (_, at))| at.is_none_or(|at| at > now))
                .map(|(k, (v, _))| (k.clone(), v.clone())).collect();
            prop_assert_eq!(cache.scan("", None, 1_000).unwrap(), lives);
        }
    }
}
