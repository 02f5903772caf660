//! What a stage gave, on its way to the next one or to a topic.

use super::plan::{Plan, StagePlan};
use crate::plugin::{Emitted, Failure};
use crate::record::{Header, Output, Record};
use crate::topics::{Topic, Topics};

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
) -> Result<Output, Failure> {
    let topic = match &emitted.topic {
        None => plan.sink.as_ref().ok_or(Failure::NoSink)?,
        Some(name) => {
            let granted = stage.topics.iter().chain(&plan.sink).find(|topic| ***topic == **name);
            granted.ok_or(Failure::TopicNotGranted)?
        }
    };
    let known = topics.get(topic);
    let partition = emitted
        .partition
        .map(|partition| match known {
            Some(known) if i64::from(partition) < i64::from(known.partitions) => Ok(partition.cast_signed()),
            _ => Err(Failure::InvalidOutput("partition does not exist in its topic")),
        })
        .transpose()?;
    let output = Output {
        topic: topic.clone(),
        partition,
        timestamp: timestamp(emitted.timestamp, input)?,
        key: emitted.key,
        value: emitted.value,
        headers: headers(emitted.headers)?,
    };
    fits(&output, known)?;
    Ok(output)
}

pub(super) fn fits(output: &Output, topic: Option<&Topic>) -> Result<(), Failure> {
    let bytes = output.batch_bytes();
    match topic {
        Some(topic) if bytes > topic.max_batch_bytes => {
            Err(Failure::OutputTooLarge { topic: topic.name.to_string(), bytes, limit: topic.max_batch_bytes })
        }
        _ => Ok(()),
    }
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
