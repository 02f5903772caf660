//! Opening a store: the next epoch, the prepared commit settled, the copy filled.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashSet;
use redis::cmd;

use super::link::{Link, evaluated};
use super::script::{FORGET, OPEN};
use super::{PART_BYTES, PART_CHANGES, Pending, Redis, RedisStood, RedisStore, note, promote};
use crate::plan::StoreId;
use crate::state::memory::MemoryStore;
use crate::state::stamp::{STAMP, Stamp};
use crate::state::store::{Entry, Origin, StateError, StateStore};

/// What the keys of a store look like; another format is refused.
const FORMAT: &str = "1";

/// As [`Redis::store`].
pub(super) fn open(redis: &Redis, app: &str, id: &StoreId, position: i64) -> Result<RedisStore, StateError> {
    let mut link = Link::new(redis.clone());
    link.check()?;
    let name = name(app, id);
    let epoch = settled(&mut link, &name, id, position)?;
    let copy = filled(&mut link, &name, &epoch, id)?;
    Ok(RedisStore { link, name, epoch, copy, pending: Pending::None, attempt: 0, loaded: Vec::new() })
}

/// As [`Redis::stood`].
pub(super) fn stood(redis: &Redis, app: &str, id: &StoreId) -> Result<RedisStood, StateError> {
    let mut link = Link::new(redis.clone());
    link.check()?;
    let name = name(app, id);
    let fields: HashMap<String, String> = link.call(cmd("HGETALL").arg(&name))?;
    let end = |list: &String| list.split_once(' ')?.1.parse::<i64>().ok();
    let lists = || fields.iter().filter(|(field, _)| field.starts_with("list."));
    // A promotion that has begun is decided.
    let promoted = fields.get("promoting").and_then(|owner| end(fields.get(&format!("list.{owner}"))?));
    let position = promoted.or_else(|| fields.get("position")?.parse().ok());
    let ends = if promoted.is_some() { Vec::new() } else { lists().filter_map(|(_, list)| end(list)).collect() };
    let stamp: Option<Vec<u8>> = link.call(cmd("GET").arg(format!("{name}:{STAMP}")))?;
    // While a promotion is under way its stamp may be there already, or not yet.
    let stamp = stamp.filter(|_| promoted.is_none());
    let stamp = stamp.and_then(|value| Stamp::read(&Entry::durable(value, None, Origin::Null)));
    Ok(RedisStood { position, ends, stamp })
}

fn name(app: &str, id: &StoreId) -> String {
    format!("{app}:{}:{}:{}", id.pipeline, id.stage, id.partition)
}

/// Takes the next epoch and brings the store to `position`.
fn settled(link: &mut Link, name: &str, id: &StoreId, position: i64) -> Result<String, StateError> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let mut command = evaluated(&OPEN, name);
    command.arg(FORMAT).arg(clock).arg(position);
    let [format, epoch, stood, owner]: [String; 4] = link.evaluate(&OPEN, &command)?;
    if format != FORMAT {
        return Err(StateError::Refused(format!(
            "the state under `{name}` in Redis has format {format:?}, and this version reads {FORMAT}: \
             run the version that wrote it"
        )));
    }
    if epoch.is_empty() {
        return Err(elsewhere(name, &stood, position));
    }
    if !owner.is_empty() {
        promote(link, name, &epoch, &owner, position)?;
    } else if stood.is_empty() {
        tracing::info!(store = %id, position, "Redis holds nothing of this state; starting with empty state");
    }
    Ok(epoch)
}

fn elsewhere(name: &str, stood: &str, position: i64) -> StateError {
    StateError::Refused(format!(
        "the state under `{name}` in Redis belongs to offset {stood} of the source, and the group has committed \
         {position}: Redis got older data back, or the group's offsets were moved. Put the offset back, or keep the \
         state with `gregor state export`; to go on with an empty state, delete `{name}`, `{name}.*` and `{name}:*`"
    ))
}

/// Reads all entries, in parts that hold nobody up.
fn filled(link: &mut Link, name: &str, epoch: &str, id: &StoreId) -> Result<MemoryStore, StateError> {
    let index = format!("{name}.index");
    let mut filling = Filling { name, copy: MemoryStore::default(), gone: HashSet::new(), deleted: 0, batch: 16 };
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("HSCAN");
        scan.arg(&index).arg(cursor).arg("COUNT").arg(PART_CHANGES);
        let (next, notes): (u64, Vec<Noted>) = link.call(&scan)?;
        filling.take(link, &notes)?;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let Filling { copy, gone, deleted, .. } = filling;
    // A Redis that restarts on the way goes through the hash in another order.
    let indexed: u64 = link.call(cmd("HLEN").arg(&index))?;
    if indexed != copy.len() + gone.len() as u64 {
        return Err(StateError::Unavailable(format!("Redis changed while the state under `{name}` was read")));
    }
    if deleted > 0 {
        tracing::warn!(store = %id, deleted, "another program deleted entries of this state in Redis");
    }
    let gone: Vec<String> = gone.into_iter().collect();
    for keys in gone.chunks(PART_CHANGES) {
        link.run(&FORGET, name, epoch, |args| {
            args.arg(keys);
        })?;
    }
    Ok(copy)
}

/// A key and its note.
type Noted = (String, Vec<u8>);

struct Filling<'a> {
    name: &'a str,
    copy: MemoryStore,
    /// Keys in the index whose entries are not there, mostly because they expired.
    gone: HashSet<String>,
    /// How many of them had no expiry.
    deleted: u64,
    /// How many values are asked for at once. Grows and shrinks with their
    /// sizes, which nobody knows yet.
    batch: usize,
}

impl Filling<'_> {
    /// Reads the entries that the index names.
    fn take(&mut self, link: &mut Link, notes: &[Noted]) -> Result<(), StateError> {
        let mut left = notes;
        while !left.is_empty() {
            let (some, rest) = left.split_at(self.batch.min(left.len()));
            left = rest;
            let mut get = cmd("MGET");
            for (key, _) in some {
                get.arg(format!("{}:{key}", self.name));
            }
            let values: Vec<Option<Vec<u8>>> = link.call(&get)?;
            let mut bytes = 0;
            for ((key, note), value) in some.iter().zip(values) {
                bytes += value.as_ref().map_or(0, Vec::len);
                self.put(key, note, value)?;
            }
            self.batch = if bytes < PART_BYTES { (self.batch * 2).min(PART_CHANGES) } else { (self.batch / 2).max(1) };
        }
        Ok(())
    }

    /// The index may name a key twice.
    fn put(&mut self, key: &str, note: &[u8], value: Option<Vec<u8>>) -> Result<(), StateError> {
        let (expires_at, origin) = note::decode(note)?;
        if let Some(value) = value {
            self.copy.replace(key, Entry::durable(value, expires_at, origin));
        } else {
            self.copy.take(key);
            let first = self.gone.insert(key.to_owned());
            self.deleted += u64::from(first && expires_at.is_none());
        }
        Ok(())
    }
}
