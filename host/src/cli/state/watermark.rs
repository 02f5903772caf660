//! `gregor state watermark`: event time that a record moved too far is set back.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Deserialize;

use crate::cli::dead_letter::moment;
use crate::cli::plugin::{HostArgs, answer};

/// More than a worker may take to come to its commands.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct WatermarkArgs {
    /// The pipeline's name
    pipeline: String,
    /// Set event time back to this time, where it is past it: `now`, a date and time as
    /// 2026-01-31T08:00:00Z, or milliseconds since the Unix epoch
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: u64,
    /// One partition of its source [default: all]
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
    #[command(flatten)]
    host: HostArgs,
}

/// The host's answer.
#[derive(Deserialize)]
struct SetBack {
    topic: String,
    to: u64,
    partitions: Vec<OfPartition>,
}

#[derive(Deserialize)]
struct OfPartition {
    partition: i32,
    from: u64,
    done: bool,
}

/// # Errors
/// When the server answers with something that is not its API.
pub fn run(args: &WatermarkArgs) -> anyhow::Result<ExitCode> {
    let mut query = vec![("to", args.to.to_string())];
    query.extend(args.partition.iter().map(|partition| ("partition", partition.to_string())));
    let route = format!("/api/v1/pipelines/{}/watermark", args.pipeline);
    answer(
        &args.host,
        |api| api.post(&route, &query, &[], PATIENCE),
        |SetBack { topic, to, partitions }: SetBack| {
            let to = moment(to);
            for OfPartition { partition, from, done } in &partitions {
                match done {
                    true => println!("{topic}-{partition}: event time set back from {} to {to}", moment(*from)),
                    false => {
                        println!("{topic}-{partition}: the commit failed, and event time is where it was. Try again.")
                    }
                }
            }
            if partitions.is_empty() {
                println!("Event time of no partition of {topic} on this host is past {to}: nothing was done.");
            }
        },
    )
}

fn time(text: &str) -> Result<u64, String> {
    let since_epoch = |at: SystemTime| at.duration_since(UNIX_EPOCH).map(|since| since.as_millis() as u64);
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let at = if text == "now" { Ok(SystemTime::now()) } else { humantime::parse_rfc3339_weak(text) };
    at.ok().and_then(|at| since_epoch(at).ok()).ok_or_else(|| {
        "write `now`, a date and time as 2026-01-31T08:00:00Z, or milliseconds since the Unix epoch".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_of_its_forms() {
        assert_eq!(time("1767225600000"), Ok(1_767_225_600_000));
        assert_eq!(time("2026-01-01T00:00:00Z"), Ok(1_767_225_600_000));
        assert!(time("now").is_ok_and(|now| now > 1_767_225_600_000));
        for bad in ["", "-1", "tomorrow", "2026-13-01T00:00:00Z"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
