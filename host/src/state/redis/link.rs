//! One connection: made when it is needed, made anew when it breaks, and with
//! an end to every wait.

use redis::{Cmd, Connection, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, cmd};

use super::Redis;
use super::refusal::explained;
use super::script::Script;
use crate::state::store::StateError;

pub(super) struct Link {
    redis: Redis,
    connection: Option<Connection>,
}

impl Link {
    pub fn new(redis: Redis) -> Link {
        Link { redis, connection: None }
    }

    /// Whether Redis answers, and is one that keeps state.
    ///
    /// # Errors
    /// As [`Redis::ping`].
    pub fn check(&mut self) -> Result<(), StateError> {
        let cluster: String = self.call(cmd("INFO").arg("cluster"))?;
        if field(&cluster, "cluster_enabled") == Some("1") {
            return Err(StateError::Refused(format!(
                "{} is a Redis Cluster, which would spread the keys of one partition over its nodes: \
                 name a Redis that is none",
                self.redis.0.address
            )));
        }
        let memory: String = self.call(cmd("INFO").arg("memory"))?;
        match (field(&memory, "maxmemory"), field(&memory, "maxmemory_policy")) {
            (Some("0"), _) | (_, Some("noeviction") | None) => Ok(()),
            (_, Some(policy)) => Err(StateError::Refused(format!(
                "Redis at {} deletes entries when its memory is full (maxmemory-policy {policy}): \
                 set maxmemory-policy to noeviction",
                self.redis.0.address
            ))),
        }
    }

    /// Runs a fenced script on the store `name`; `args` come after the epoch.
    ///
    /// # Errors
    /// [`StateError::Fenced`] when the epoch is not the store's,
    /// [`StateError::Refused`] when Redis has lost the store; else as [`Link::call`].
    pub fn run(
        &mut self,
        script: &Script,
        name: &str,
        epoch: &str,
        args: impl FnOnce(&mut Cmd),
    ) -> Result<i64, StateError> {
        let mut command = evaluated(script, name);
        command.arg(epoch);
        args(&mut command);
        match self.evaluate(script, &command)? {
            -1 => Err(StateError::Fenced),
            -2 => Err(StateError::Refused(format!(
                "Redis at {} has lost the state under `{name}`: it came back without its data, or the keys were \
                 deleted",
                self.redis.0.address
            ))),
            status => Ok(status),
        }
    }

    /// Runs a script, which Redis may not know yet.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub fn evaluate<T: FromRedisValue>(&mut self, script: &Script, command: &Cmd) -> Result<T, StateError> {
        match self.attempt(command) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.call::<String>(cmd("SCRIPT").arg("LOAD").arg(script.code))?;
                self.call(command)
            }
            outcome => outcome.map_err(|error| self.explained(&error)),
        }
    }

    /// Sends a command and waits for its answer, at most `redis.timeout` for
    /// each step. A connection that turns out to be broken is made anew, and
    /// the command sent again: all of ours may be.
    ///
    /// # Errors
    /// [`StateError::Unavailable`], [`StateError::Full`] or [`StateError::Refused`].
    pub fn call<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StateError> {
        self.attempt(command).map_err(|error| self.explained(&error))
    }

    fn attempt<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        if let Some(connection) = self.connection.take() {
            match self.once(connection, command) {
                Err(error) if error.is_io_error() && !error.is_timeout() => {}
                outcome => return outcome,
            }
        }
        let connection = self.connected()?;
        self.once(connection, command)
    }

    /// Keeps the connection, unless an answer to this command may still come.
    fn once<T: FromRedisValue>(&mut self, mut connection: Connection, command: &Cmd) -> RedisResult<T> {
        let outcome = command.query(&mut connection);
        let answered = outcome.as_ref().err().is_none_or(|error: &RedisError| error.code().is_some());
        if answered {
            self.connection = Some(connection);
        }
        outcome
    }

    fn connected(&self) -> RedisResult<Connection> {
        let timeout = self.redis.0.timeout;
        let connection = self.redis.0.client.get_connection_with_timeout(timeout)?;
        connection.set_read_timeout(Some(timeout))?;
        connection.set_write_timeout(Some(timeout))?;
        Ok(connection)
    }

    fn explained(&self, error: &RedisError) -> StateError {
        explained(error, &self.redis.0.address, self.redis.0.timeout)
    }
}

/// The command that runs a script on the store `name`, up to its arguments.
pub(super) fn evaluated(script: &Script, name: &str) -> Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(&script.hash).arg(1).arg(name);
    command
}

/// A field of what INFO prints.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Memory\r\nmaxmemory_policy:allkeys-lru\r\nmaxmemory:0\r\n";
        assert_eq!(field(info, "maxmemory"), Some("0"));
        assert_eq!(field(info, "maxmemory_policy"), Some("allkeys-lru"));
        assert_eq!(field(info, "max"), None);
    }
}
