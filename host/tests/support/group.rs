//! Consumer groups, as the broker describes them.

use rdkafka::consumer::Consumer;

use super::kafka::{ANSWER, Kafka, answer};

/// What `kafka-consumer-groups` shows of a group.
#[derive(Debug)]
pub struct Group {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
    pub state: String,
    /// Client ids of its members, sorted.
    pub members: Vec<String>,
}

impl Kafka {
    /// The group as it is now; `Dead` and empty where the broker knows none.
    pub fn group(&self, name: &str) -> Group {
        let listed = answer("groups", || self.asking.fetch_group_list(Some(name), ANSWER));
        let found = listed.groups().iter().find(|group| group.name() == name);
        let mut members: Vec<String> =
            found.iter().flat_map(|group| group.members()).map(|member| member.client_id().to_owned()).collect();
        members.sort();
        Group { state: found.map_or("Dead", |group| group.state()).to_owned(), members }
    }

    /// Whether the group is stable with this many members.
    pub fn is_stable(&self, name: &str, members: usize) -> bool {
        let group = self.group(name);
        group.state == "Stable" && group.members.len() == members
    }
}
