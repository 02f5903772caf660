//! Redis, as a program that knows nothing of Gregor reads it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Where the Redis of this run is.
///
/// # Panics
/// Without REDIS_URL.
pub fn redis_url() -> String {
    std::env::var("REDIS_URL").expect("these tests need a Redis: run `cargo xtask test`, or set REDIS_URL")
}

/// A connection to a Redis.
pub struct Redis {
    connection: BufReader<TcpStream>,
}

impl Redis {
    pub fn connect(url: &str) -> Redis {
        let address = url.strip_prefix("redis://").expect("its URL begins with redis://");
        let (address, database) = address.split_once('/').unwrap_or((address, ""));
        let (user, address) = address.rsplit_once('@').unwrap_or(("", address));
        let connection = TcpStream::connect(address).expect("Redis listens");
        let mut redis = Redis { connection: BufReader::new(connection) };
        if let Some((_, password)) = user.split_once(':') {
            redis.ask(&["AUTH", password]);
        }
        if !database.is_empty() {
            redis.ask(&["SELECT", database]);
        }
        redis
    }

    /// The value of `key`; `None` where there is none.
    pub fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let length = self.ask(&["GET", key]);
        let length = length.strip_prefix('$').expect("a value").parse::<isize>().expect("a length");
        let mut value = vec![0; usize::try_from(length).ok()? + 2];
        self.connection.read_exact(&mut value).expect("the whole value");
        value.truncate(value.len() - 2);
        Some(value)
    }

    /// Deletes every key that begins with `prefix`.
    pub fn delete_all(&mut self, prefix: &str) {
        let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end return 1";
        self.ask(&["EVAL", script, "0", &format!("{prefix}*")]);
    }

    /// The first line of the answer to a command.
    fn ask(&mut self, words: &[&str]) -> String {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.connection.get_mut().write_all(command.as_bytes()).expect("Redis listens");
        let mut line = String::new();
        self.connection.read_line(&mut line).expect("Redis answers");
        assert!(!line.starts_with('-'), "{}: {line}", words[0]);
        line.trim_end().to_owned()
    }
}
