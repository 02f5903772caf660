//! Records of a pipeline's source beside what came out of them, as any consumer sees both.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::cli::api::printable;
use crate::cli::brokers::{ASK, Brokers};
use crate::config::{Config, Pipeline};
use crate::kafka::{self, Quiet};

/// How long records are waited for.
const WAIT: Duration = Duration::from_secs(8);
/// What is shown of a key or a value.
const SHOWN: usize = 400;

pub struct Samples<'a> {
    config: &'a Config,
    source: &'a str,
    sinks: Vec<&'a str>,
    most: usize,
}

/// One record, as text.
struct Seen {
    topic: String,
    /// Its own place, or that of the source record where its headers tell it.
    of: Option<(i32, i64)>,
    key: Option<String>,
    value: String,
}

impl<'a> Samples<'a> {
    pub fn new(config: &'a Config, pipeline: &'a Pipeline, most: usize) -> Samples<'a> {
        let granted = pipeline.stages.iter().flat_map(|stage| &stage.topics);
        let mut sinks: Vec<&str> =
            pipeline.sink.iter().chain(&pipeline.dead_letter).chain(granted).map(|it| &**it).collect();
        sinks.dedup();
        Samples { config, source: &pipeline.source, sinks, most }
    }

    /// Shows the next records under `title`: from now on, as far as they come in a few seconds.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn show(&self, title: &str) -> anyhow::Result<()> {
        if self.most == 0 {
            return Ok(());
        }
        println!("\n{title}");
        let consumer = self.consumer()?;
        let (deadline, mut inputs, mut outputs) = (Instant::now() + WAIT, Vec::new(), Vec::new());
        let mut shown = 0;
        while shown < self.most && Instant::now() < deadline {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            match Seen::of(&message, self.source) {
                seen if seen.topic == self.source => inputs.push(seen),
                seen => outputs.push(seen),
            }
            shown += pairs(&mut inputs, &mut outputs, self.most - shown);
        }
        if shown == 0 {
            // Outputs under other keys, a plugin that gives none, or no records at all.
            let (read, written) = (inputs.len(), outputs.len());
            println!("  no pair of records in {WAIT:.0?}: {read} in {}, {written} came out", self.source);
            inputs.iter().chain(&outputs).take(self.most).for_each(Seen::print);
        }
        println!();
        Ok(())
    }

    /// At the end of every topic of the pipeline.
    fn consumer(&self) -> anyhow::Result<BaseConsumer<Quiet>> {
        let mut client = kafka::reader_config(&kafka::base_config(self.config), "read_committed");
        client.set("enable.partition.eof", "false").set("fetch.wait.max.ms", "100");
        // The client assigns partitions only where it knows a group; it joins none.
        client.set("group.id", &self.config.app);
        let consumer: BaseConsumer<Quiet> = client.create_with_context(Quiet)?;
        let brokers = Brokers::new(self.config);
        let mut ends = TopicPartitionList::new();
        for topic in [self.source].iter().chain(&self.sinks) {
            let partitions = brokers.partitions(&consumer, topic)?.unwrap_or(0);
            for partition in 0..partitions {
                let (_, end) = brokers.until(|| consumer.fetch_watermarks(topic, partition, ASK))?;
                ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
            }
        }
        consumer.assign(&ends)?;
        Ok(consumer)
    }
}

/// Prints and takes out what belongs together, at most `most` records of the source.
fn pairs(inputs: &mut Vec<Seen>, outputs: &mut Vec<Seen>, most: usize) -> usize {
    let mut shown = 0;
    while shown < most {
        let belongs = |input: &Seen, output: &Seen| match output.of {
            Some(of) => Some(of) == input.of,
            None => output.key == input.key,
        };
        let found = inputs.iter().position(|input| outputs.iter().any(|output| belongs(input, output)));
        let Some(found) = found else { break };
        let input = inputs.remove(found);
        input.print();
        outputs.extract_if(.., |output| belongs(&input, output)).for_each(|output| output.print());
        shown += 1;
    }
    shown
}

impl Seen {
    fn of(message: &BorrowedMessage<'_>, source: &str) -> Seen {
        let headers = kafka::headers(message);
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name)?.1.as_deref()?;
            std::str::from_utf8(found).ok()?.parse::<i64>().ok()
        };
        let of = match message.topic() == source {
            true => Some((message.partition(), message.offset())),
            false => (|| Some((i32::try_from(header("gregor-partition")?).ok()?, header("gregor-offset")?)))(),
        };
        let text = |bytes: &[u8]| printable(&String::from_utf8_lossy(bytes).chars().take(SHOWN).collect::<String>());
        Seen {
            topic: message.topic().to_owned(),
            of,
            key: message.key().map(text),
            value: message.payload().map_or_else(|| "(tombstone)".to_owned(), text),
        }
    }

    fn print(&self) {
        println!("  {:<24} {}  {}", self.topic, self.key.as_deref().unwrap_or("(no key)"), self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(of: Option<(i32, i64)>, key: &str) -> Seen {
        Seen { topic: String::new(), of, key: Some(key.to_owned()), value: String::new() }
    }

    #[test]
    fn what_came_out_of_a_record_is_known_by_its_headers_or_its_key() {
        let mut inputs = vec![seen(Some((0, 1)), "a"), seen(Some((0, 2)), "b"), seen(Some((0, 3)), "c")];
        let mut outputs = vec![seen(Some((0, 2)), "other"), seen(Some((0, 2)), "b"), seen(None, "c"), seen(None, "d")];
        assert_eq!(pairs(&mut inputs, &mut outputs, 9), 2);
        assert_eq!((inputs.len(), outputs.len()), (1, 1));
        assert_eq!(pairs(&mut inputs, &mut outputs, 9), 0);
    }

    #[test]
    fn no_more_are_shown_than_asked_for() {
        let mut inputs: Vec<_> = (0..5).map(|n| seen(Some((0, n)), "a")).collect();
        let mut outputs: Vec<_> = (0..5).map(|n| seen(Some((0, n)), "a")).collect();
        assert_eq!(pairs(&mut inputs, &mut outputs, 2), 2);
        assert_eq!(outputs.len(), 3);
    }
}
