//! Bits that flip and files that are cut off: found, never served.

use std::collections::BTreeMap;

use super::*;

const KEYS: u64 = 600;
const TO: i64 = 12;

/// A plain generator: the same damage for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A store with several tables and logs, and what is in it.
fn store(dir: &Path) -> BTreeMap<String, Entry> {
    let disk = Disk::open_with(dir, 60_000).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, false).unwrap();
    let mut wanted = BTreeMap::new();
    let mut random = Random(1);
    for to in 1..=TO {
        let mut changes = Vec::new();
        for _ in 0..200 {
            let key = format!("patient-{}", random.below(KEYS));
            if random.below(5) == 0 {
                if let Some((key, stood)) = store.remove(&key).unwrap() {
                    changes.push((key, Some(stood)));
                }
                wanted.remove(&key);
            } else {
                let text = format!("{to} {}", "text ".repeat(random.below(20) as usize));
                let expires_at = (random.below(3) == 0).then(|| 5_000 + random.below(1_000));
                let entry = Entry::durable(text.into(), expires_at, Origin::Null);
                changes.push(store.put(&key, entry.clone()).unwrap());
                wanted.insert(key, entry);
            }
        }
        let mut seen = std::collections::HashSet::new();
        changes.retain(|(key, _)| seen.insert(key.clone()));
        store.prepare(&Commit { from: to - 1, to, changelog: 0, now: 0, changes: &changes }).unwrap();
        store.finish().unwrap();
    }
    drop((store, disk));
    // Once it is open again nobody works on its files any more.
    drop(Disk::open(dir).unwrap());
    wanted
}

/// Opens the damaged store and reads everything: each answer is right or an
/// error. Whether the store was served at all.
fn read(dir: &Path, wanted: &BTreeMap<String, Entry>) -> Result<bool, StateError> {
    let disk = Disk::open_with(dir, 60_000)?;
    let mut store = disk.store(&id(0), 1, false)?;
    if store.standing(TO)? != Standing::Whole {
        return Ok(false);
    }
    assert_eq!(store.len(), wanted.len() as u64);
    for n in 0..KEYS {
        let key = format!("patient-{n}");
        if let Ok(found) = store.get(&key) {
            assert_eq!(found, wanted.get(&key), "{key}");
        }
    }
    if let Ok(found) = everything(&mut store) {
        let missing = wanted.iter().filter(|(key, _)| !found.iter().any(|(other, _)| other == *key)).count();
        assert!(found.into_iter().eq(wanted.clone()), "the scan is wrong: {missing} entries are missing");
    }
    if let Ok(mut found) = store.expired(5_500, usize::MAX) {
        found.sort();
        let due = wanted.iter().filter(|(_, entry)| entry.expired(5_500)).map(|(key, _)| key.as_str());
        assert!(found.iter().map(|key| &**key).eq(due), "expiries are wrong");
    }
    Ok(true)
}

/// 200 times, or as often as `GREGOR_TEST_ROUNDS` says; `GREGOR_TEST_SEED` gives other damage.
#[test]
fn a_damaged_file_is_never_served() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (times, seed) = (number("GREGOR_TEST_ROUNDS").unwrap_or(200), number("GREGOR_TEST_SEED").unwrap_or(7));
    let dir = tempfile::tempdir().unwrap();
    let (sound, hurt) = (dir.path().join("sound"), dir.path().join("hurt"));
    let wanted = store(&sound);
    let originals: Vec<_> = files(&sound)
        .into_iter()
        .map(|path| (path.strip_prefix(&sound).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    assert!(
        originals.iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "tables")).count() > 1
    );
    let mut random = Random(seed);
    let (mut served, mut refused) = (0, 0);
    for round in 0..times {
        let _ = fs::remove_dir_all(&hurt);
        let which = loop {
            let which = random.below(originals.len() as u64) as usize;
            if !originals[which].1.is_empty() {
                break which;
            }
        };
        for (at, (path, bytes)) in originals.iter().enumerate() {
            let mut bytes = bytes.clone();
            if at == which {
                let place = random.below(bytes.len() as u64) as usize;
                println!("round {round}: {} of {} bytes, at {place}", path.display(), bytes.len());
                if round % 5 == 0 { bytes.truncate(place) } else { bytes[place] ^= 1 << random.below(8) }
            }
            let path = hurt.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        match read(&hurt, &wanted) {
            Ok(true) => served += 1,
            Ok(false) | Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no damage was found");
    println!("{times} times: {served} opened and every answer right or an error, {refused} refused");
}

#[test]
fn a_missing_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (sound, hurt) = (dir.path().join("sound"), dir.path().join("hurt"));
    let wanted = store(&sound);
    for missing in files(&sound) {
        let _ = fs::remove_dir_all(&hurt);
        for path in files(&sound).into_iter().filter(|path| *path != missing) {
            let copy = hurt.join(path.strip_prefix(&sound).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(path, copy).unwrap();
        }
        let _ = read(&hurt, &wanted);
    }
}
