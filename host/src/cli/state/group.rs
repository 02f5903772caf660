//! The consumer group, as someone outside of it asks.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::{NO_STATE, Refusal};
use crate::cli::brokers::{ASK, Brokers};
use crate::config::{Config, Start};
use crate::host::HostError;
use crate::kafka::BrokerError;
use crate::kafka::{self, Quiet};
use crate::position::Position;
use crate::state::Noted;
use crate::state::{At, Local};

pub struct Group<'a> {
    config: &'a Config,
    asking: BaseConsumer<Quiet>,
    brokers: Brokers<'a>,
}

/// Where the group is on a partition.
#[derive(Clone, Debug)]
pub struct Standpoint {
    /// What it has committed, or where it would begin.
    pub next: i64,
    /// None where it has committed nothing.
    pub metadata: Option<String>,
}

impl Standpoint {
    pub fn is_pinned(&self) -> bool {
        self.metadata.is_some()
    }

    pub fn position(&self) -> Position {
        Position::committed(self.next, self.metadata.as_deref().unwrap_or_default())
    }

    pub fn noted(&self) -> Noted {
        Noted::of(self.metadata.as_deref().unwrap_or_default())
    }

    /// Whether the last commit of a store may have failed: by what the group had
    /// committed before it, if that is what it still has. An offset that someone
    /// else committed, or deleted, says nothing of that.
    pub fn may_lack(&self, local: &Local) -> bool {
        match &local.stamp {
            Some(stamp) if self.is_pinned() => self.noted().ours || stamp.is_first_at(&self.position()),
            Some(stamp) => stamp.is_first(),
            None => self.is_pinned(),
        }
    }

    /// As the pipeline with this index among those of the source has it.
    pub fn at(&self, index: usize) -> At {
        At { position: self.position().of_pipeline(index), pinned: self.is_pinned() }
    }
}

impl Group<'_> {
    /// # Errors
    /// When the client refuses its configuration.
    pub fn new(config: &Config) -> Result<Group<'_>, HostError> {
        let mut client = kafka::base_config(config);
        // Waits for what a transaction has not decided yet.
        client.set("group.id", &config.app).set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        let asking = client.create_with_context(Quiet).map_err(BrokerError::Client)?;
        Ok(Group { config, asking, brokers: Brokers::new(config) })
    }

    fn servers(&self) -> &str {
        self.config.kafka.bootstrap_servers()
    }

    /// How many partitions a topic has; `None` where it does not exist.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>, HostError> {
        self.brokers.partitions(&self.asking, topic)
    }

    /// How many partitions the source has.
    ///
    /// # Errors
    /// When it does not exist, or no broker answers.
    pub fn source_partitions(&self, source: &str) -> Result<i32, HostError> {
        let missing = || {
            BrokerError::MissingTopic { role: "source", topic: source.to_owned(), servers: self.servers().to_owned() }
                .into()
        };
        self.partitions(source)?.ok_or_else(missing)
    }

    /// The first offset of a partition and its end.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), HostError> {
        self.brokers.until(|| self.asking.fetch_watermarks(topic, partition, ASK))
    }

    fn committed(&self, source: &str, partitions: i32) -> Result<TopicPartitionList, HostError> {
        let mut asked = TopicPartitionList::with_capacity(partitions as usize);
        for partition in 0..partitions {
            asked.add_partition(source, partition);
        }
        self.brokers.until(|| {
            let committed = self.asking.committed_offsets(asked.clone(), ASK)?;
            committed.elements().iter().try_for_each(|element| element.error())?;
            Ok(committed)
        })
    }

    /// Where the group is on each partition, or would begin.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn positions(&self, source: &str, partitions: i32, start: Start) -> Result<Vec<Standpoint>, HostError> {
        let committed = self.committed(source, partitions)?;
        let position = |partition| {
            if let Some(element) = committed.find_partition(source, partition)
                && let Offset::Offset(next) = element.offset()
            {
                return Ok(Standpoint { next, metadata: Some(element.metadata().to_owned()) });
            }
            let (low, high) = self.watermarks(source, partition)?;
            Ok(Standpoint { next: if start == Start::Latest { high } else { low }, metadata: None })
        };
        (0..partitions).map(position).collect()
    }

    /// Commits these offsets with their metadata. Brokers take them from outside of
    /// a group only while it is empty.
    ///
    /// # Errors
    /// When the group has members, or no broker answers.
    pub fn commit(&self, source: &str, offsets: &[(i32, i64, String)]) -> anyhow::Result<()> {
        if self.members()? > 0 {
            return Err(self.has_members().into());
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, next, metadata) in offsets {
            let mut element = list.add_partition(source, *partition);
            element.set_offset(Offset::Offset(*next))?;
            element.set_metadata(metadata);
        }
        self.send(&list)
    }

    fn send(&self, offsets: &TopicPartitionList) -> anyhow::Result<()> {
        match self.asking.commit(offsets, CommitMode::Sync) {
            Ok(()) => Ok(()),
            Err(KafkaError::ConsumerCommit(
                Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress | Code::StaleMemberEpoch,
            )) => Err(self.has_members().into()),
            Err(error) => Err(self.brokers.unreachable(&error).into()),
        }
    }

    /// The first offsets of a partition at or after a time, in milliseconds since
    /// the Unix epoch; its end where there is none.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn at_time(&self, topic: &str, partition: i32, time: i64) -> Result<i64, HostError> {
        let found = self.brokers.until(|| {
            let mut asked = TopicPartitionList::with_capacity(1);
            asked.add_partition_offset(topic, partition, Offset::Offset(time))?;
            let found = self.asking.offsets_for_times(asked, ASK)?;
            let element = found.find_partition(topic, partition);
            element.map_or(Ok(Offset::End), |element| element.error().map(|()| element.offset()))
        })?;
        match found {
            Offset::Offset(next) => Ok(next),
            _ => Ok(self.watermarks(topic, partition)?.1),
        }
    }

    /// The id of a topic, where the brokers tell it.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topic_id(&self, topic: &str) -> Result<Option<String>, HostError> {
        self.brokers.until(|| kafka::topic_id(&self.asking, topic, ASK))
    }

    /// How many members the group has, as far as the brokers tell: of the newer
    /// protocol's groups they may not.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn members(&self) -> Result<usize, HostError> {
        let listed = self.brokers.until(|| self.asking.fetch_group_list(Some(&self.config.app), ASK))?;
        let ours = listed.groups().iter().find(|group| group.name() == self.config.app);
        Ok(ours.map_or(0, |group| group.members().len()))
    }

    /// Makes sure that the group has no members, and commits `pins`, where it
    /// is to begin in partitions that it has committed nothing of. Brokers take
    /// offsets from outside of a group only while it is empty, whatever its protocol.
    ///
    /// # Errors
    /// When it has members, or no broker answers.
    pub fn pin(&self, source: &str, partitions: i32, pins: &[(i32, i64)]) -> anyhow::Result<()> {
        if self.members()? > 0 {
            return Err(self.has_members().into());
        }
        let committed = self.committed(source, partitions)?;
        let mut again = TopicPartitionList::new();
        for element in committed.elements() {
            if let Offset::Offset(_) = element.offset() {
                let mut copy = again.add_partition(source, element.partition());
                copy.set_offset(element.offset())?;
                copy.set_metadata(element.metadata());
            }
        }
        for (partition, position) in pins {
            again.add_partition_offset(source, *partition, Offset::Offset(*position))?;
        }
        if again.count() == 0 {
            return Ok(());
        }
        self.send(&again)
    }

    /// That hosts still run.
    pub fn has_members(&self) -> Refusal {
        let (app, servers) = (&self.config.app, self.servers());
        let problem = format!(
            "group `{app}` has members: stop all its hosts first (one that was killed counts until its session \
             times out). `kafka-consumer-groups.sh --bootstrap-server {servers} --describe --group {app} --members` shows them"
        );
        Refusal { code: NO_STATE, problem }
    }
}
