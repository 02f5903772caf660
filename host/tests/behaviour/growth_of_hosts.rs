//! Two hosts that become four and two again, while records flow.

use std::collections::BTreeMap;

use crate::support::{Backend, Guarantee, Host, Settings, Trial, until};

/// Seconds from one host's coming or going to the next.
const ROUND: u64 = 3;
/// Hosts that stay all the time.
const STAYING: [&str; 2] = ["one", "two"];

#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// SIGTERM
    Asked,
    /// SIGKILL
    Killed,
}

#[test]
fn hosts_that_come_and_go_cost_and_double_nothing_with_memory_and_a_changelog() {
    survives_growth(Backend::Memory, Leaving::Asked);
}

#[test]
fn hosts_that_come_and_are_killed_cost_and_double_nothing_with_memory_and_a_changelog() {
    survives_growth(Backend::Memory, Leaving::Killed);
}

#[test]
fn hosts_that_come_and_go_cost_and_double_nothing_with_a_disk_and_a_changelog() {
    survives_growth(Backend::Disk, Leaving::Asked);
}

#[test]
fn hosts_that_come_and_go_cost_and_double_nothing_with_redis() {
    survives_growth(Backend::Redis, Leaving::Asked);
}

fn survives_growth(backend: Backend, leaving: Leaving) {
    let settings = Settings::or(9_000, 4);
    let trial = Trial::new(backend, Guarantee::ExactlyOnce, settings).with_setup(|setup| setup.workers(1));
    let mut hosts: Vec<Host> = STAYING.map(|id| trial.setup.start_as(id)).into();
    wait_until_spread(&trial, &hosts);
    let stream = trial.stream(ROUND);
    let mut coming = ["three", "four"].iter().cycle();
    for round in 0..settings.rounds {
        trial.wait_for_outputs(200);
        if round % 4 < 2 {
            hosts.push(trial.setup.start_as(coming.next().expect("a name")));
        } else {
            let mut host = hosts.remove(2);
            match leaving {
                Leaving::Asked => assert_eq!(host.term(), Some(0)),
                Leaving::Killed => host.kill9(),
            }
        }
        wait_until_spread(&trial, &hosts);
    }
    trial.wait_for_outputs(200);
    let produced = stream.finish();
    trial.settle();
    hosts.iter_mut().for_each(|host| assert_eq!(host.term(), Some(0)));

    trial.verify(&produced);
    let (stop, moves) = longest_stop(&trial);
    let figures = format!(
        "{} comings and goings ({leaving:?}), {moves} moves, an unmoved partition stopped for {stop} ms at most",
        settings.rounds
    );
    trial.report(&produced, &figures);
}

/// Waits until each host has its share and the group rests.
fn wait_until_spread(trial: &Trial, hosts: &[Host]) {
    until("the partitions are spread over all hosts", || {
        let shares: Vec<usize> = hosts.iter().map(|host| host.partitions().len()).collect();
        shares.iter().sum::<usize>() == 6
            && !shares.contains(&0)
            && trial.kafka.is_stable(&trial.setup.app, hosts.len())
    });
}

/// Milliseconds between two outputs of one worker and partition at their
/// farthest, of the hosts that stay; and how many times a partition changed its
/// worker. One that was killed and came back under its name is another owner.
fn longest_stop(trial: &Trial) -> (i64, usize) {
    let mut last: BTreeMap<i32, (String, i64)> = BTreeMap::new();
    let (mut stop, mut moves) = (0, 0);
    trial.kafka.read_each(&trial.sink, |output| {
        let worker = output.header("gregor-worker").expect("provenance").to_owned();
        if let Some((before, appended)) = last.insert(output.partition, (worker.clone(), output.timestamp)) {
            if before != worker {
                moves += 1;
            } else if STAYING.iter().any(|id| worker.starts_with(id)) {
                stop = stop.max(output.timestamp - appended);
            }
        }
    });
    (stop, moves)
}
