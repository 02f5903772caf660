//! The end of a worker.

use std::time::Duration;

use super::{POLL, Worker};
use crate::commit::Committed;
use crate::commit::WorkerError;

/// How long a worker that leaves waits for a rebalance: other members hear of it with
/// their next heartbeat, within 500 ms. All of the host's end has 10 s by default.
const REBALANCE: Duration = Duration::from_secs(2);

impl Worker {
    /// Commits all there is; dropping the worker leaves the group.
    ///
    /// No leaving before that, but where there is no partition: librdkafka 2.12
    /// forgets to leave when the close comes while it still stops fetching from the
    /// partitions that it let go, and when it closes a member that has none.
    pub(super) fn close(&mut self) -> Result<(), WorkerError> {
        while self.commit()? == Committed::Pending {
            std::thread::sleep(POLL);
        }
        self.handle_rebalances()?;
        let has_none = self.tasks.is_empty() && self.restoring.is_empty() && self.awaiting.is_empty();
        if has_none && !self.member.leave(REBALANCE) {
            let worker = self.index;
            tracing::warn!(worker, "the group is still being rebalanced: it may wait for this worker's session");
        }
        for task in self.tasks.values() {
            tracing::info!(worker = self.index, partition = %task.id, position = task.position().next, "left");
        }
        Ok(())
    }
}

impl Drop for Worker {
    /// However it ended, by an error or a panic too. Its member, which leaves the
    /// group, goes after its tasks, whose stores are closed by then; its restorer
    /// last, with nothing left to wait for.
    fn drop(&mut self) {
        for (id, restoring) in self.restoring.drain().chain(self.awaiting.drain()) {
            restoring.cancel();
            self.shared.views.remove_if(&id, |_, view| view.worker == self.index);
        }
        for (id, _) in self.tasks.drain() {
            self.shared.views.remove_if(&id, |_, view| view.worker == self.index);
        }
    }
}
