//! Gives outputs at and beyond the limits.
//!
//! ```text
//! outputs:N      N small outputs, key and value their number from 0
//! bytes:N        one output whose value has N bytes
//! header-nul     a header's name with a zero byte in it
//! timestamp-max  a timestamp that Kafka cannot hold
//! partition:N    to this partition
//! topic:NAME     to this topic
//! ```

use gregor_sdk::{Header, Output};
use guests::{argument, command, echo, number};

guests::guest!(|record| {
    let told = command(&record).to_owned();
    if let Some(count) = number(&told, "outputs") {
        return Ok((0..count).map(small).collect());
    }
    let mut outputs = echo(record);
    for output in &mut outputs {
        if let Some(bytes) = number(&told, "bytes") {
            output.value = Some(vec![b'x'; bytes as usize]);
        } else if let Some(partition) = number(&told, "partition") {
            output.partition = Some(partition as u32);
        } else if let Some(topic) = argument(&told, "topic") {
            output.topic = Some(topic.to_owned());
        } else if told == "timestamp-max" {
            output.timestamp = Some(u64::MAX);
        } else if told == "header-nul" {
            output.headers.push(Header { name: "a\0b".into(), value: None });
        }
    }
    Ok(outputs)
});

fn small(number: u64) -> Output {
    let text = number.to_string().into_bytes();
    Output::new(text.clone(), text)
}
