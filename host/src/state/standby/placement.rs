//! Which host keeps a copy of which partition. Nobody decides: every host
//! computes the same from what the group says of itself.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use sha2::{Digest, Sha256};

use crate::kafka::Quiet;
use crate::record::TopicPartition;

/// The group at rest: its hosts, and which of them owns what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Group {
    hosts: BTreeSet<String>,
    owners: HashMap<TopicPartition, String>,
}

impl Group {
    /// `None` while the group is being rebalanced.
    ///
    /// # Errors
    /// When the brokers do not answer within `patience`.
    pub fn ask(client: &BaseConsumer<Quiet>, app: &str, patience: Duration) -> KafkaResult<Option<Group>> {
        let told = client.fetch_group_list(Some(app), patience)?;
        let Some(group) = told.groups().iter().find(|group| group.name() == app && group.state() == "Stable") else {
            return Ok(None);
        };
        let mut found = Group::default();
        for member in group.members() {
            // Others may join the group to look at it, or to take part without this program.
            let Some(host) = host_of(member.client_id(), app) else { continue };
            found.hosts.insert(host.to_owned());
            for id in member.assignment().and_then(assigned).unwrap_or_default() {
                found.owners.insert(id, host.to_owned());
            }
        }
        Ok(Some(found))
    }

    /// Whether `host` is the owner of `id`.
    pub fn owns(&self, host: &str, id: &TopicPartition) -> bool {
        self.owners.get(id).is_some_and(|owner| owner == host)
    }

    /// Whether `host` is among the `copies` hosts that keep a copy of `id`: the
    /// highest by a hash of host and partition, so that a host that comes or
    /// goes moves no other copies than its own (Thaler and Ravishankar, "Using
    /// Name-Based Mappings to Increase Hit Rates", 1998).
    pub fn keeps(&self, host: &str, id: &TopicPartition, copies: usize) -> bool {
        let Some(owner) = self.owners.get(id) else { return false };
        if owner == host || !self.hosts.contains(host) {
            return false;
        }
        let own = weight(host, id);
        self.hosts.iter().filter(|other| *other != owner && weight(other, id) > own).count() < copies
    }
}

/// A member's client id is `<app>-<host>-<worker>`.
fn host_of<'a>(client_id: &'a str, app: &str) -> Option<&'a str> {
    let (host, worker) = client_id.strip_prefix(app)?.strip_prefix('-')?.rsplit_once('-')?;
    worker.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
}

/// The same on every host and in every version.
fn weight(host: &str, id: &TopicPartition) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(host);
    hash.update([0]);
    hash.update(id.topic.as_bytes());
    hash.update(id.partition.to_be_bytes());
    hash.finalize().into()
}

/// A member's assignment as Kafka's `ConsumerProtocolAssignment` writes it.
fn assigned(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut rest = bytes;
    take::<2>(&mut rest)?;
    let topics = i32::from_be_bytes(take(&mut rest)?);
    let mut found = Vec::new();
    for _ in 0..topics {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (topic, after) = rest.split_at_checked(length)?;
        let topic = std::str::from_utf8(topic).ok()?;
        rest = after;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            found.push(TopicPartition::new(topic, i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(found)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(partition: i32) -> TopicPartition {
        TopicPartition::new("locations", partition)
    }

    fn group(hosts: &[&str], owner: &str) -> Group {
        Group {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            owners: (0..64).map(|partition| (id(partition), owner.to_owned())).collect(),
        }
    }

    fn keepers<'a>(group: &Group, hosts: &[&'a str], partition: i32, copies: usize) -> Vec<&'a str> {
        hosts.iter().copied().filter(|host| group.keeps(host, &id(partition), copies)).collect()
    }

    #[test]
    fn as_many_hosts_as_asked_for_keep_a_copy_and_never_the_owner() {
        let hosts = ["a", "b", "c", "d"];
        let group = group(&hosts, "b");
        for partition in 0..64 {
            for copies in 0..6 {
                let kept = keepers(&group, &hosts, partition, copies);
                assert_eq!(kept.len(), copies.min(3));
                assert!(!kept.contains(&"b"));
            }
        }
    }

    #[test]
    fn copies_are_spread_over_the_hosts() {
        let hosts = ["a", "b", "c", "d"];
        let group = group(&hosts, "b");
        for host in ["a", "c", "d"] {
            let kept = (0..64).filter(|partition| group.keeps(host, &id(*partition), 1)).count();
            assert!((10..=32).contains(&kept), "{host} keeps {kept} of 64");
        }
    }

    #[test]
    fn a_host_that_joins_takes_copies_and_moves_no_others() {
        let (before, after) = (["a", "b", "c"], ["a", "b", "c", "d"]);
        let (small, large) = (group(&before, "b"), group(&after, "b"));
        for partition in 0..64 {
            let kept = keepers(&large, &after, partition, 1);
            assert!(kept == ["d"] || kept == keepers(&small, &before, partition, 1));
        }
    }

    #[test]
    fn of_a_partition_without_an_owner_nobody_keeps_a_copy() {
        assert!(!group(&["a", "b"], "a").keeps("b", &id(64), 1));
    }

    #[test]
    fn a_host_is_told_by_its_members_client_ids() {
        assert_eq!(host_of("app-ward-3-12", "app"), Some("ward-3"));
        assert_eq!(host_of("app-ward", "app"), None);
        assert_eq!(host_of("rdkafka", "app"), None);
        assert_eq!(host_of("application-ward-1", "app"), None);
    }

    #[test]
    fn an_assignment_is_read_as_kafka_writes_it() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x05\0\x02bc\0\0\0\x01\0\0\0\x07\xff\xff\xff\xff";
        let found = vec![TopicPartition::new("a", 0), TopicPartition::new("a", 5), TopicPartition::new("bc", 7)];
        assert_eq!(assigned(bytes), Some(found));
        for end in 0..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..end]), None, "{end}");
        }
    }
}
