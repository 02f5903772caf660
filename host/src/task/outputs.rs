//! What a stage gave, on its way to the next one or to a topic.

use std::borrow::Cow;

use crate::kafka::topics::{Topic, Topics};
use crate::origin::Origin;
use crate::plan::{Plan, StagePlan};
use crate::plugin::{Emitted, Failure};
use crate::record::{Header, Output, Record};

/// An output on its way to the next stage.
pub(super) struct Passed {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
}

/// What the outputs of one stage for one record come to.
#[derive(Default)]
pub(super) struct Spent {
    count: usize,
    bytes: u64,
}

impl Spent {
    pub fn add(&mut self, output: &Emitted, stage: &StagePlan) -> Result<(), Failure> {
        let limits = &stage.scope.limits;
        let headers: usize =
            output.headers.iter().map(|header| header.name.len() + header.value.as_ref().map_or(0, Vec::len)).sum();
        self.count += 1;
        self.bytes +=
            (output.key.as_ref().map_or(0, Vec::len) + output.value.as_ref().map_or(0, Vec::len) + headers) as u64;
        if self.count > limits.outputs as usize {
            return Err(Failure::Outputs { count: self.count, limit: limits.outputs });
        }
        if self.bytes > limits.output_bytes {
            return Err(Failure::OutputBytes { bytes: self.bytes, limit: limits.output_bytes });
        }
        Ok(())
    }
}

impl Passed {
    pub fn view<'a>(&'a self, source: &Record<'a>) -> Record<'a> {
        Record {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            ..*source
        }
    }
}

pub(super) fn pass_on(output: Emitted, input: &Record<'_>) -> Result<Passed, Failure> {
    if output.partition.is_some() {
        return Err(Failure::InvalidOutput("partition is set although it goes to the next stage"));
    }
    Ok(Passed {
        timestamp: timestamp(output.timestamp, input)?,
        key: output.key,
        value: output.value,
        headers: headers(output.headers)?,
    })
}

/// Resolves an output's topic and checks all that the client library would
/// refuse later, when it could no longer be told which record it came from.
pub(super) fn address(
    emitted: Emitted,
    input: &Record<'_>,
    stage: &StagePlan,
    plan: &Plan,
    topics: &Topics,
    now_ms: u64,
) -> Result<Output, Failure> {
    let topic = match &emitted.topic {
        None => plan.sink.as_ref().ok_or(Failure::NoSink)?,
        Some(name) => {
            let granted = stage.topics.iter().chain(&plan.sink).find(|topic| ***topic == **name);
            granted.ok_or(Failure::TopicNotGranted)?
        }
    };
    let known = topics.get(topic);
    let partition = emitted.partition.map(|partition| to_partition(partition, known)).transpose()?;
    let output = Output {
        topic: topic.clone(),
        partition,
        timestamp: timestamp(emitted.timestamp, input)?,
        key: emitted.key,
        value: emitted.value,
        headers: headers(emitted.headers)?,
        origin: Origin::default(),
    };
    fits(&output, known, now_ms)?;
    Ok(output)
}

fn to_partition(partition: u32, topic: Option<&Topic>) -> Result<i32, Failure> {
    match topic {
        Some(topic) if i64::from(partition) < i64::from(topic.partitions_now) => Ok(partition.cast_signed()),
        Some(topic) if i64::from(partition) < i64::from(topic.partitions) => Err(Failure::OutputRefused {
            topic: topic.name.to_string(),
            reason: format!(
                "partition {partition} does not exist, the topic was made anew with {} partitions",
                topic.partitions_now
            )
            .into(),
        }),
        _ => Err(Failure::InvalidOutput("partition does not exist in its topic")),
    }
}

/// Whether `topic` takes `output` at `now_ms`, milliseconds since the Unix epoch,
/// as far as the brokers told its settings.
pub(super) fn fits(output: &Output, topic: Option<&Topic>, now_ms: u64) -> Result<(), Failure> {
    let Some(topic) = topic else { return Ok(()) };
    let refused = |reason: Cow<'static, str>| Err(Failure::OutputRefused { topic: topic.name.to_string(), reason });
    let (bytes, limit) = (output.batch_bytes(), topic.largest_output);
    if bytes > limit {
        return match limit < topic.max_batch_bytes {
            true => refused(
                format!(
                    "it takes {bytes} bytes, message.max.bytes and queue.buffering.max.kbytes of [kafka] allow {limit}"
                )
                .into(),
            ),
            false => Err(Failure::OutputTooLarge { topic: topic.name.to_string(), bytes, limit }),
        };
    }
    if topic.compacted && output.key.is_none() {
        return refused("the topic is compacted and the output has no key".into());
    }
    let ahead = output.timestamp.saturating_sub(i64::try_from(now_ms).unwrap_or(i64::MAX));
    // -1 says that there is none.
    if output.timestamp >= 0 && ahead > topic.timestamps.after {
        let after = topic.timestamps.after;
        return refused(
            format!("its timestamp is {ahead} ms in the future, the topic's message.timestamp.after.max.ms is {after}")
                .into(),
        );
    }
    if output.timestamp >= 0 && -ahead > topic.timestamps.before {
        let before = topic.timestamps.before;
        return refused(
            format!(
                "its timestamp is {} ms in the past, the topic's message.timestamp.before.max.ms is {before}",
                -ahead
            )
            .into(),
        );
    }
    Ok(())
}

fn timestamp(given: Option<u64>, input: &Record<'_>) -> Result<i64, Failure> {
    given.map_or(Ok(input.timestamp), |given| {
        i64::try_from(given).map_err(|_| Failure::InvalidOutput("timestamp is past the range of 63 bits"))
    })
}

fn headers(given: Vec<crate::plugin::EmittedHeader>) -> Result<Vec<Header>, Failure> {
    given
        .into_iter()
        .map(|header| match header.name.contains('\0') {
            true => Err(Failure::InvalidOutput("header name holds a NUL")),
            false => Ok((header.name, header.value)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::Timestamps;

    const NOW: u64 = 1_800_000_000_000;

    fn output(timestamp: i64) -> Output {
        let (key, value) = (Some(vec![b'k']), Some(vec![b'v'; 1_000]));
        Output {
            topic: "sink".into(),
            partition: None,
            timestamp,
            key,
            value,
            headers: Vec::new(),
            origin: Origin::default(),
        }
    }

    fn kind(output: &Output, topic: &Topic) -> &'static str {
        fits(output, Some(topic), NOW).as_ref().map_or_else(Failure::kind, |()| "fits")
    }

    #[test]
    fn a_topics_settings_bound_its_outputs() {
        let plain = Topic::new("sink", 1, 2_000);
        let now = NOW.cast_signed();
        assert_eq!(kind(&output(now), &plain), "fits");
        assert_eq!(kind(&Output { value: Some(vec![0; 2_000]), ..output(now) }, &plain), "output-too-large");
        let client = Topic { largest_output: 500, ..plain.clone() };
        assert_eq!(kind(&output(now), &client), "output-refused", "the client's own bound");

        let keyless = Output { key: None, ..output(now) };
        assert_eq!(kind(&keyless, &plain), "fits");
        assert_eq!(kind(&keyless, &Topic { compacted: true, ..plain.clone() }), "output-refused");

        let timed = Topic { timestamps: Timestamps { before: 10, after: 5 }, ..plain };
        let kinds = [-11, -10, 0, 5, 6].map(|ms| kind(&output(now + ms), &timed));
        assert_eq!(kinds, ["output-refused", "fits", "fits", "fits", "output-refused"]);
        assert_eq!(kind(&output(-1), &timed), "fits", "no time at all");
    }

    #[test]
    fn a_partition_that_went_is_refused() {
        let shrunk = Topic { partitions_now: 3, ..Topic::new("sink", 6, 2_000) };
        let kind = |partition| to_partition(partition, Some(&shrunk)).as_ref().map_or_else(Failure::kind, |_| "there");
        assert_eq!([2, 3, 5, 6].map(kind), ["there", "output-refused", "output-refused", "invalid-output"]);
    }
}
