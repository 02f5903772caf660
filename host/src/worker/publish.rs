//! What others see of a worker, told once a commit.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::{Shared, Worker};
use crate::observe::PartitionState;

impl Worker {
    pub(super) fn publish(&mut self) {
        // Serves what the producer has to say when nothing is flushed either.
        self.sender.poll(Duration::ZERO);
        let Shared { views, metrics, health, shelf, ends, .. } = &*self.shared;
        let member = self.member.context();
        health.brokers(self.index, member.answering());
        for restoring in self.restoring.values() {
            let mut view = self.view_of_restoring(restoring);
            view.set_end(ends.get(&restoring.id));
            views.insert(restoring.id.clone(), view);
        }
        for awaiting in self.awaiting.values() {
            let mut view = self.view_of_awaiting(awaiting);
            view.set_end(ends.get(&awaiting.id));
            views.insert(awaiting.id.clone(), view);
        }
        for mismatched in self.mismatched.values() {
            let mut view = self.view_of_mismatched(mismatched);
            view.set_end(ends.get(&mismatched.restoring.id));
            views.insert(mismatched.restoring.id.clone(), view);
        }
        let mut stuck = 0;
        for task in self.tasks.values_mut() {
            let mut view = task.view(self.index);
            let fetched = || member.end(&task.id.topic, task.id.partition);
            view.set_end(match view.state {
                PartitionState::Running => fetched(),
                _ => ends.get(&task.id).or_else(fetched),
            });
            let done = self.shared.passes_bound(&task.id, view.position) && !view.releasing;
            if view.state == PartitionState::Running && done {
                view.state = PartitionState::Finished;
            }
            stuck += u64::from(view.state == PartitionState::NoProgress);
            views.insert(task.id.clone(), view);
            metrics.consumed(&task.id.topic, std::mem::take(&mut task.consumed));
            task.drain_tallies(|plan, tally| metrics.stage(plan, tally));
        }
        health.stuck(self.index, stuck);
        for (topic, count) in self.produced.drain(..) {
            metrics.produced(&topic, count);
        }
        // Whoever sees that it has joined sees its partitions.
        if let Some(settled) = member.settled() {
            health.settle(self.index, settled);
            if settled {
                health.joined(self.index);
            }
        }
        shelf.clear_old();
    }
}
