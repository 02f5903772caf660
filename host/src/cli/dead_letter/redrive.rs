//! `gregor dead-letter redrive`

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::topic::{Found, Known, Reader, Redrive};
use super::{Chosen, Filter, NONE, PipelineArgs, Place, REFUSED, Refusal};
use crate::cli::api::{CONFIGURATION, printable};
use crate::cli::output;
use crate::kafka::topics;
use crate::kafka::{self, Quiet, Sender};
use crate::plan::redrive_topic;
use crate::redrive::{self, Key};

/// Dead letters under way at once: every host holds them in memory.
const MOST: u64 = 10_000;
/// Their bytes.
const MOST_BYTES: u64 = 64 << 20;
/// What a request has besides its dead letter, and Kafka's framing.
const BESIDE: u64 = 4 << 10;
/// Kafka's default of `max.message.bytes`.
const USUAL_BATCH: u64 = 1_048_588;
/// How long the brokers may take to create a topic.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a wait for the brokers looks at what they refused.
const TURN: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct RedriveArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Only these, as `list` shows them: PARTITION/OFFSET
    at: Vec<Place>,
    #[command(flatten)]
    filter: Filter,
    /// At most so many: 1 to 10,000
    #[arg(long, default_value_t = MOST, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    limit: u64,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// What is to be redriven, and what is not.
#[derive(Default)]
struct Plan {
    letters: Vec<Found>,
    bytes: u64,
    /// Asked for before.
    asked: u64,
    /// Of a source that the pipeline no longer reads, or of a partition that it has not.
    elsewhere: u64,
    /// Truncated, and the source does not hold the record any more.
    gone: Vec<Found>,
    /// More than may be under way.
    left: u64,
}

/// Runs `gregor dead-letter redrive`.
///
/// # Errors
/// When a topic is missing, cannot be read, or does not take a request.
pub fn run(args: &RedriveArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.pipeline.choose()?;
    let reader = Reader::new(&chosen)?;
    let partitions = reader.existing("source", &chosen.source)?;
    let known = reader.known()?;
    let plan = choose(args, &chosen, &reader, &known, partitions)?;
    tell(&plan, &chosen, &known)?;
    if plan.letters.is_empty() {
        return Ok(ExitCode::from(NONE));
    }
    if !args.yes {
        println!("A dry run: nothing was done. Add --yes to do it.");
        return Ok(ExitCode::SUCCESS);
    }
    let topic = redrive_topic(&chosen.config.app, &chosen.pipeline);
    let largest = ensure(&chosen, &reader, &topic, partitions)?;
    let sender = sender(&chosen, largest)?;
    for found in &plan.letters {
        send(&sender, &topic, found)?;
    }
    while !kafka::flush(&sender, TURN) {
        sender.poll(Duration::ZERO);
        sender.context().check()?;
    }
    sender.poll(Duration::ZERO);
    sender.context().check()?;
    println!(
        "{} dead letters are on their way: hosts process them within seconds, and `gregor dead-letter list {}` tells \
         which are done.",
        plan.letters.len(),
        chosen.pipeline
    );
    Ok(ExitCode::SUCCESS)
}

/// Reads all dead letters, as they are to come in the order of the source.
fn choose(
    args: &RedriveArgs,
    chosen: &Chosen,
    reader: &Reader<'_>,
    known: &Known,
    partitions: i32,
) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    let (waiting, waiting_bytes) = known.waiting();
    let most = args.limit.min(MOST.saturating_sub(waiting));
    let most_bytes = MOST_BYTES.saturating_sub(waiting_bytes);
    let mut keys = std::collections::HashSet::new();
    let mut missing = args.at.clone();
    reader.letters(|found| {
        let letter = &found.letter;
        missing.retain(|place| *place != found.place);
        if !args.filter.admits(letter) || !(args.at.is_empty() || args.at.contains(&found.place)) {
            return true;
        }
        if letter.topic != chosen.source || letter.partition >= partitions {
            plan.elsewhere += 1;
        } else if known.of(letter) != Redrive::No {
            plan.asked += 1;
        } else if plan.letters.len() as u64 >= most || plan.bytes + letter.bytes() > most_bytes {
            plan.left += 1;
        } else if keys.insert(Key::of(letter)) {
            plan.bytes += letter.bytes();
            plan.letters.push(found);
        }
        true
    })?;
    if let Some(place) = missing.first() {
        let problem = format!(
            "topic `{}` holds no dead letter of pipeline `{}` at {place}",
            chosen.dead_letters, chosen.pipeline
        );
        return Err(Refusal { code: CONFIGURATION, problem }.into());
    }
    for found in std::mem::take(&mut plan.letters) {
        match found.letter.truncated.is_none() || reader.has_record(&found.letter)? {
            true => plan.letters.push(found),
            false => plan.gone.push(found),
        }
    }
    plan.letters.sort_by_key(|found| {
        (found.letter.partition, found.letter.offset(), found.letter.timestamp, found.letter.redriven)
    });
    Ok(plan)
}

/// What would be done: counts only.
fn tell(plan: &Plan, chosen: &Chosen, known: &Known) -> io::Result<()> {
    let mut out = output::stdout();
    let mut kinds: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for found in &plan.letters {
        *kinds.entry((&found.letter.stage, &found.letter.error)).or_default() += 1;
    }
    let (pipeline, source) = (&chosen.pipeline, &chosen.source);
    writeln!(out, "{} dead letters to redrive through pipeline `{pipeline}`", plan.letters.len())?;
    for ((stage, error), count) in kinds {
        writeln!(out, "  {count} of stage {}: {}", printable(stage), printable(error))?;
    }
    let (waiting, _) = known.waiting();
    let notes = [
        (plan.asked, "were redriven before, or wait for it, and are left out".to_owned()),
        (plan.elsewhere, format!("come from no partition of `{source}` and are left out")),
        (plan.left, format!("are more than may be under way at once ({MOST}, 64 MiB): run it again for them")),
        (waiting, "wait to be redriven already".to_owned()),
    ];
    for (count, note) in notes.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {count} {note}")?;
    }
    for Found { place, letter, .. } in &plan.gone {
        let at =
            letter.offset().map_or("a timer".to_owned(), |offset| format!("{source}-{}@{offset}", letter.partition));
        writeln!(out, "  {place} is left: it is truncated, and its record ({at}) is not in the source any more")?;
    }
    Ok(())
}

/// Creates the redrive topic, or the partitions that it lacks; the largest
/// batch that it takes.
fn ensure(chosen: &Chosen, reader: &Reader<'_>, topic: &str, partitions: i32) -> anyhow::Result<u64> {
    let client = kafka::base_config(&chosen.config);
    let dead_letters = chosen.dead_letters.as_str().into();
    let limits = topics::max_batch_bytes(&client, std::iter::once(&dead_letters));
    let largest = limits.get(&dead_letters).copied().unwrap_or(USUAL_BATCH).max(USUAL_BATCH).saturating_add(BESIDE);
    let admin: AdminClient<Quiet> = client.create_with_context(Quiet).context("the Kafka client")?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let refused = |what: &str, code: Code| Refusal {
        code: REFUSED,
        problem: format!(
            "redrive topic `{topic}` cannot be {what} ({code}): create it with {partitions} partitions and \
             cleanup.policy=compact, or grant Create on it"
        ),
    };
    match reader.partitions(topic)? {
        None => {
            let largest = largest.to_string();
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1))
                .set("cleanup.policy", "compact")
                .set("max.message.bytes", &largest)
                // Payloads of what is done are to go soon.
                .set("min.cleanable.dirty.ratio", "0.01")
                .set("segment.ms", "3600000")
                .set("message.timestamp.type", "LogAppendTime");
            for created in block_on(admin.create_topics([&new], &options)).context("creating the redrive topic")? {
                match created {
                    Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                    Err((_, code)) => return Err(refused("created", code).into()),
                }
            }
        }
        Some(found) if found < partitions => {
            let more = NewPartitions::new(topic, partitions as usize);
            for grown in block_on(admin.create_partitions([&more], &options)).context("growing the redrive topic")? {
                if let Err((_, code)) = grown {
                    return Err(refused("given more partitions", code).into());
                }
            }
        }
        Some(_) => {}
    }
    Ok(largest)
}

fn sender(chosen: &Chosen, largest: u64) -> anyhow::Result<Sender> {
    let mut client = kafka::base_config(&chosen.config);
    client
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.max.bytes", largest.clamp(1_000, 1_000_000_000).to_string())
        .set("batch.size", largest.clamp(1_000, 262_144).to_string())
        .set("delivery.report.only.error", "true");
    client.remove("transactional.id");
    kafka::new_sender(&client).context("the Kafka client")
}

fn send(sender: &Sender, topic: &str, found: &Found) -> anyhow::Result<()> {
    let (letter, key) = (&found.letter, Key::of(&found.letter));
    let named = redrive::headers(&found.headers, letter);
    let headers = named.iter().fold(OwnedHeaders::new_with_capacity(named.len()), |headers, (name, value)| {
        headers.insert(Header { key: name, value: value.as_deref() })
    });
    let record = BaseRecord::with_opaque_to(topic, 0)
        .partition(letter.partition)
        .key(key.bytes())
        .payload(letter.value.as_deref().unwrap_or_default())
        .headers(headers);
    kafka::send(sender, record)?;
    sender.poll(Duration::ZERO);
    Ok(sender.context().check()?)
}
