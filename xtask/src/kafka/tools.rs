//! Kafka's own command-line tools, with the arguments that are the same every time filled in.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Result;

use super::{JAVA, jars};
use crate::command;

/// Where the broker is, when neither the arguments nor the environment say.
const BOOTSTRAP: &str = "localhost:9092";

#[derive(Clone, Copy)]
pub enum Tool {
    Topics,
    Produce,
    Consume,
    Groups,
    Acls,
}

impl Tool {
    fn class(self) -> &'static str {
        match self {
            Tool::Topics => "org.apache.kafka.tools.TopicCommand",
            Tool::Produce => "org.apache.kafka.tools.ConsoleProducer",
            Tool::Consume => "org.apache.kafka.tools.consumer.ConsoleConsumer",
            Tool::Groups => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            Tool::Acls => "kafka.admin.AclCommand",
        }
    }

    /// The option that carries `name=value` properties of keys and values.
    fn property_option(self) -> &'static str {
        match self {
            Tool::Produce => "--reader-property",
            _ => "--formatter-property",
        }
    }

    /// `key:value` lines both ways, so that what was produced is what is printed.
    fn properties(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Tool::Produce => &[("parse.key", "true"), ("key.separator", ":")],
            Tool::Consume => &[("print.key", "true"), ("key.separator", ":")],
            Tool::Topics | Tool::Groups | Tool::Acls => &[],
        }
    }
}

/// Becomes the tool: its input, output and exit code are this process's, so
/// this returns only when it fails.
///
/// # Errors
/// When the jars cannot be fetched or Java is missing.
pub fn exec(tool: Tool, args: Vec<String>) -> Result<()> {
    let bootstrap = env::var("KAFKA_BOOTSTRAP").unwrap_or_else(|_| BOOTSTRAP.to_owned());
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .arg("-cp")
        .arg(jars::fetch()?.join("*"))
        .arg(tool.class())
        .args(filled(tool, args, &bootstrap));
    let error = java.exec();
    Err(command::not_started(&java, JAVA, error))
}

/// `args` and, before them, what they leave out.
fn filled(tool: Tool, args: Vec<String>, bootstrap: &str) -> Vec<String> {
    let mut all = Vec::new();
    if args.iter().any(|arg| arg == "--help" || arg == "--version") {
        return args;
    }
    if !gives(&args, "--bootstrap-server") {
        all.extend(["--bootstrap-server".to_owned(), bootstrap.to_owned()]);
    }
    for (name, value) in tool.properties() {
        if !args.iter().any(|arg| sets(arg, name)) {
            all.extend([tool.property_option().to_owned(), format!("{name}={value}")]);
        }
    }
    all.extend(args);
    all
}

/// Whether `args` name the option, as `--option value` or `--option=value`.
fn gives(args: &[String], option: &str) -> bool {
    args.iter().filter_map(|arg| arg.strip_prefix(option)).any(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Whether one argument sets the property, as `name=value` or `--option=name=value`.
fn sets(arg: &str, name: &str) -> bool {
    let property = match arg.strip_prefix("--") {
        Some(option) => option.split_once('=').map_or("", |(_, property)| property),
        None => arg,
    };
    property.split_once('=').is_some_and(|(found, _)| found == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(tool: Tool, args: &str) -> String {
        let args = args.split_whitespace().map(str::to_owned).collect();
        super::filled(tool, args, "b:1").join(" ")
    }

    #[test]
    fn the_broker_is_filled_in() {
        assert_eq!(filled(Tool::Topics, "--list"), "--bootstrap-server b:1 --list");
    }

    #[test]
    fn a_broker_that_is_named_stays() {
        for args in ["--list --bootstrap-server c:2", "--bootstrap-server=c:2 --list"] {
            assert_eq!(filled(Tool::Topics, args), args);
        }
    }

    #[test]
    fn the_producer_reads_keys() {
        assert_eq!(
            filled(Tool::Produce, "--topic t"),
            "--bootstrap-server b:1 --reader-property parse.key=true \
             --reader-property key.separator=: --topic t"
        );
    }

    #[test]
    fn the_consumer_prints_keys() {
        assert_eq!(
            filled(Tool::Consume, "--topic t"),
            "--bootstrap-server b:1 --formatter-property print.key=true \
             --formatter-property key.separator=: --topic t"
        );
    }

    #[test]
    fn a_property_that_is_given_is_not_filled_in() {
        let args = "--topic t --formatter-property=key.separator=| --property print.key=false";
        assert_eq!(filled(Tool::Consume, args), format!("--bootstrap-server b:1 {args}"));
    }

    #[test]
    fn help_is_asked_of_the_tool_alone() {
        assert_eq!(filled(Tool::Consume, "--help"), "--help");
    }
}
