//! Where an import goes: a changelog, the local stores, or Redis.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use crate::cli::state::group::{Group, Standpoint};
use crate::cli::state::{Chosen, NO_STATE, Refusal};
use crate::clock::wall_ms;
use crate::config::Backend;
use crate::kafka::topics::SendBounds;
use crate::kafka::{self, Sender};
use crate::plan::StoreId;
use crate::state::changelog::{self, Changelog, HEADER, Wanted};
use crate::state::{
    At, Checkpoint, DISK_FOLDER, Disk, Entry, Ground, Log, MAX_ENTRIES, Page, Point, Redis, STAMP, Stamp, Standing,
    StateError, StateStore,
};

/// Bytes of entries that are looked at at once.
const PAGE_BYTES: usize = 1 << 20;
/// How often a wait for the brokers looks at what they refused.
const TURN: Duration = Duration::from_secs(1);

/// A place that takes an import: checked, not written yet.
pub enum Target {
    Changelog { topic: String, delete: String },
    Disk { replace: bool },
    Redis { replace: bool },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Changelog { topic, .. } => write!(f, "changelog topic `{topic}`"),
            Target::Disk { .. } => f.write_str("the local stores"),
            Target::Redis { .. } => f.write_str("Redis"),
        }
    }
}

fn refuse<T>(problem: String) -> anyhow::Result<T> {
    Err(Refusal { code: NO_STATE, problem }.into())
}

impl Target {
    /// Where the stage keeps its state. Looks and writes nothing.
    ///
    /// # Errors
    /// When it is not empty, or keeps nothing.
    pub fn find(chosen: &Chosen, group: &Group<'_>, partitions: i32, replace: bool) -> anyhow::Result<Target> {
        let stage = &chosen.stage;
        match (&stage.changelog, stage.state.backend) {
            (Some(_), _) if replace => Err(Refusal::usage(
                "--replace is for disk and redis: a changelog topic with entries is to be deleted first".to_owned(),
            )
            .into()),
            (Some(topic), _) => {
                let servers = chosen.config.kafka.bootstrap_servers();
                let delete = format!("kafka-topics.sh --bootstrap-server {servers} --delete --topic {topic}");
                let found = group.partitions(topic)?.unwrap_or(0);
                for partition in 0..found {
                    let (low, high) = group.watermarks(topic, partition)?;
                    if low < high {
                        return refuse(format!(
                            "changelog topic `{topic}` is not empty: if the export holds all that is in it, \
                             run `{delete}`, and import again; nothing was written"
                        ));
                    }
                }
                if found > 0 && found != partitions {
                    return refuse(format!(
                        "changelog topic `{topic}` has {found} partitions, and source `{}` has {partitions}: \
                         run `{delete}`, and import again; nothing was written",
                        chosen.source
                    ));
                }
                Ok(Target::Changelog { topic: topic.to_string(), delete })
            }
            (None, Backend::Disk) => Ok(Target::Disk { replace }),
            (None, Backend::Redis) => Ok(Target::Redis { replace }),
            (None, Backend::Memory) => refuse(format!(
                "stage `{}` keeps its state in memory without a changelog, where nothing outlives its host: \
                 give it `changelog = true` or another backend",
                stage.scope.stage
            )),
        }
    }

    /// What to do once an import broke off.
    pub fn redo(&self) -> String {
        match self {
            Target::Changelog { delete, .. } => format!("run `{delete}`, and import again"),
            Target::Disk { .. } | Target::Redis { .. } => "import again with --replace".to_owned(),
        }
    }

    /// Opens it, emptied where that was asked for.
    ///
    /// # Errors
    /// When it holds entries, or cannot be opened.
    pub fn start(&self, chosen: &Chosen, group: &Group<'_>, partitions: i32) -> anyhow::Result<Filling> {
        match self {
            Target::Changelog { topic, .. } => to_changelog(chosen, group, topic, partitions),
            Target::Disk { replace } => {
                let points = positions(chosen, group, partitions)?;
                let stamps = stamps(chosen, group, &points, None)?;
                let at: Vec<At> = points.iter().map(|point| point.at(chosen.index)).collect();
                let disk = Disk::open(&chosen.config.host.data_dir.join(DISK_FOLDER))?;
                let open = |partition: i32, at: &At| empty_on_disk(chosen, &disk, partition, *at, *replace);
                let stores = stores(at, stamps, open)?;
                let (pipeline, stage) = (chosen.stage.scope.pipeline.clone(), chosen.stage.scope.stage.clone());
                let done = move || disk.remember_partitions(&pipeline, &stage, partitions);
                Ok(Filling::Stores { stores, done: Box::new(done) })
            }
            Target::Redis { replace } => {
                let Some(settings) = &chosen.config.redis else { return refuse("[redis] is missing".to_owned()) };
                let redis = Redis::new(settings)?;
                let points = positions(chosen, group, partitions)?;
                let stamps = stamps(chosen, group, &points, None)?;
                let at: Vec<At> = points.iter().map(|point| point.at(chosen.index)).collect();
                let open = |partition: i32, at: &At| empty_in_redis(chosen, &redis, partition, *at, *replace);
                let stores = stores(at, stamps, open)?;
                let (pipeline, stage) = (chosen.stage.scope.pipeline.clone(), chosen.stage.scope.stage.clone());
                let app = chosen.config.app.clone();
                let done = move || redis.remember_partitions(&app, &pipeline, &stage, partitions);
                Ok(Filling::Stores { stores, done: Box::new(done) })
            }
        }
    }
}

/// Where the group is in each partition: committed from now on in all of them,
/// so that hosts begin where the stores say.
fn positions(chosen: &Chosen, group: &Group<'_>, partitions: i32) -> anyhow::Result<Vec<Standpoint>> {
    let positions = group.positions(&chosen.source, partitions, chosen.start)?;
    let new = (0..).zip(&positions).filter(|(_, at)| !at.is_pinned()).map(|(partition, at)| (partition, at.next));
    group.pin(&chosen.source, partitions, &new.collect::<Vec<_>>())?;
    Ok(positions)
}

/// The stamps of what is imported: state as of what the group has committed.
fn stamps(
    chosen: &Chosen,
    group: &Group<'_>,
    positions: &[Standpoint],
    log: Option<&str>,
) -> anyhow::Result<Vec<Stamp>> {
    let source = group.topic_id(&chosen.source)?;
    let id = log.map(|topic| group.topic_id(topic)).transpose()?;
    let stamp = |(partition, at): (i32, &Standpoint)| {
        let log = match (log, &id) {
            (Some(topic), Some(id)) => Some(Log { id: id.clone(), start: group.watermarks(topic, partition)?.0 }),
            _ => None,
        };
        let ground = Ground { epoch: 0, source: source.clone(), log };
        let metadata = Some(at.metadata.clone().unwrap_or_default());
        Ok(Stamp::new(ground, None, Point { next: at.next, metadata }))
    };
    (0..).zip(positions).map(stamp).collect()
}

fn stores(
    positions: Vec<At>,
    stamps: Vec<Stamp>,
    open: impl Fn(i32, &At) -> anyhow::Result<Box<dyn StateStore>>,
) -> anyhow::Result<Vec<(Box<dyn StateStore>, At)>> {
    // All are looked at before the first is written.
    let opened: anyhow::Result<Vec<_>> = (0..).zip(&positions).map(|(partition, at)| open(partition, at)).collect();
    let mut opened = opened?;
    for (store, stamp) in opened.iter_mut().zip(stamps) {
        store.load(STAMP, Some(stamp.entry(0)))?;
    }
    Ok(opened.into_iter().zip(positions).collect())
}

fn id(chosen: &Chosen, partition: i32) -> StoreId {
    let scope = &chosen.stage.scope;
    StoreId { pipeline: scope.pipeline.clone(), stage: scope.stage.clone(), partition }
}

fn occupied<T>(partition: i32, place: &str) -> anyhow::Result<T> {
    refuse(format!(
        "{place} has state of partition {partition} already: if the export holds all of it, import again with --replace"
    ))
}

fn empty_on_disk(
    chosen: &Chosen,
    disk: &Disk,
    partition: i32,
    at: At,
    replace: bool,
) -> anyhow::Result<Box<dyn StateStore>> {
    let id = id(chosen, partition);
    let hot_bytes = chosen.stage.state.hot_bytes;
    if replace {
        disk.wipe(&id)?;
    }
    let mut store = disk.store(&id, hot_bytes, true)?;
    match store.standing(at.position)? {
        Standing::Empty => Ok(Box::new(store)),
        _ => occupied(partition, "the local store"),
    }
}

fn empty_in_redis(
    chosen: &Chosen,
    redis: &Redis,
    partition: i32,
    at: At,
    replace: bool,
) -> anyhow::Result<Box<dyn StateStore>> {
    let (app, id) = (&chosen.config.app, id(chosen, partition));
    // As it stands: of whatever position, what is there is to go or to stay.
    let stands = redis.stood(app, &id)?.position;
    let mut store = redis.store(app, &id, stands.unwrap_or(at.position))?;
    let stamped = u64::from(store.get(STAMP)?.is_some());
    if store.len() > stamped && !replace {
        return occupied(partition, "Redis");
    }
    loop {
        let page = Page { prefix: "", after: None, now: 0, limit: MAX_ENTRIES, bytes: PAGE_BYTES };
        let entries = store.scan(&page)?;
        if entries.is_empty() {
            return Ok(Box::new(store));
        }
        entries.iter().try_for_each(|(key, _)| store.load(key, None))?;
    }
}

fn to_changelog(chosen: &Chosen, group: &Group<'_>, topic: &str, partitions: i32) -> anyhow::Result<Filling> {
    let (scope, state) = (&chosen.stage.scope, &chosen.stage.state);
    forget_local(chosen)?;
    let wanted = Wanted {
        topic: topic.to_owned(),
        pipeline: scope.pipeline.clone(),
        stage: scope.stage.clone(),
        source: chosen.source.clone(),
        partitions,
        replication: state.replication_factor.map_or(-1, i32::from),
        max_value: state.max_value,
    };
    let changelogs = changelog::ensure(&chosen.config, &[wanted])?;
    let largest = changelogs.first().map_or(1_000_000, |changelog: &Changelog| changelog.max_batch_bytes);
    let mut client: ClientConfig = kafka::base_config(&chosen.config);
    client
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.max.bytes", largest.clamp(1_000, 1_000_000_000).to_string())
        .set("batch.size", largest.clamp(1_000, 262_144).to_string())
        .set("queue.buffering.max.kbytes", SendBounds::queue_kib(2 * largest).to_string())
        .set("delivery.report.only.error", "true");
    client.remove("transactional.id");
    let sender = kafka::new_sender(&client).context("the Kafka client")?;
    let points = positions(chosen, group, partitions)?;
    let mut filling = Filling::Changelog { sender, topic: topic.to_owned() };
    for (partition, stamp) in (0..).zip(stamps(chosen, group, &points, Some(topic))?) {
        filling.put(partition, STAMP, stamp.entry(0))?;
    }
    Ok(filling)
}

/// Removes this machine's stores of a stage with a changelog: they are whole by
/// the group's offsets, and would be taken instead of what is imported.
fn forget_local(chosen: &Chosen) -> anyhow::Result<()> {
    let folder = chosen.config.host.data_dir.join(DISK_FOLDER);
    if chosen.stage.state.backend != Backend::Disk || !folder.exists() {
        return Ok(());
    }
    let disk = Disk::open(&folder)?;
    let of_stage = |found: &StoreId| *found == id(chosen, found.partition);
    Ok(disk.list()?.iter().filter(|found| of_stage(found)).try_for_each(|found| disk.wipe(found))?)
}

/// A target that is being filled.
pub enum Filling {
    Changelog {
        sender: Sender,
        topic: String,
    },
    Stores {
        /// By partition.
        stores: Vec<(Box<dyn StateStore>, At)>,
        /// Notes for how many partitions they are.
        done: Box<dyn FnOnce() -> Result<(), StateError>>,
    },
}

impl Filling {
    /// # Errors
    /// When the entry is not taken.
    pub fn put(&mut self, partition: i32, key: &str, entry: Entry) -> anyhow::Result<()> {
        match self {
            Filling::Changelog { sender, topic } => {
                // As of offset 0: every restore takes it, wherever the group is.
                let header = changelog::encode(Some(&entry), 0);
                let name = HEADER.to_str()?;
                let headers = OwnedHeaders::new().insert(Header { key: name, value: Some(&header) });
                let record = BaseRecord::with_opaque_to(topic, 0);
                let record = record.partition(partition).key(key).payload(&entry.value).headers(headers);
                kafka::send(sender, record)?;
                sender.poll(Duration::ZERO);
                Ok(sender.context().check()?)
            }
            Filling::Stores { stores, .. } => Ok(stores[partition as usize].0.load(key, Some(entry))?),
        }
    }

    /// Waits until everything is durable.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Filling::Changelog { sender, .. } => {
                while !kafka::flush(&sender, TURN) {
                    sender.poll(Duration::ZERO);
                    sender.context().check()?;
                }
                sender.poll(Duration::ZERO);
                Ok(sender.context().check()?)
            }
            Filling::Stores { stores, done } => {
                for (mut store, at) in stores {
                    store.restored(Checkpoint { position: at.position, changelog: 0, at: wall_ms() })?;
                }
                Ok(done()?)
            }
        }
    }
}
