//! The command line (MongoDB manual, "mongod", Options).

use serde_json::Value;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    Help,
    Version,
    Run(Flags),
}

/// A server, by these flags.
#[derive(Debug, Default, PartialEq)]
pub struct Flags {
    /// The configuration file.
    pub config: Option<String>,
    /// Options of the same meaning in a configuration file, by their names there.
    pub options: Vec<(String, Value)>,
}

/// Flags with a value, and the options they stand for.
const VALUED: &[(&str, &str)] = &[
    ("--port", "net.port"),
    ("--bind_ip", "net.bindIp"),
    ("--dbpath", "storage.dbPath"),
    ("--replSet", "replication.replSetName"),
    ("--logpath", "systemLog.path"),
    ("--pidfilepath", "processManagement.pidFilePath"),
];

/// Flags without one.
const SWITCHES: &[(&str, &str, Value)] =
    &[("--bind_ip_all", "net.bindIpAll", Value::Bool(true)), ("--logappend", "systemLog.logAppend", Value::Bool(true))];

/// Reads them. `Err`: the sentence that `mongod` ends with.
pub fn read(arguments: &[String]) -> Result<Asked, String> {
    let mut flags = Flags::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (flag, joined) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = |flag: &str| {
            let value = joined.clone().or_else(|| rest.next().cloned());
            value.ok_or_else(|| {
                format!("Error parsing command line: the required argument for option '{flag}' is missing")
            })
        };
        if matches!(flag, "--help" | "-h") {
            return Ok(Asked::Help);
        }
        if flag == "--version" {
            return Ok(Asked::Version);
        }
        if matches!(flag, "--config" | "-f") {
            flags.config = Some(value("--config")?);
        } else if flag == "--auth" {
            flags.options.push(("security.authorization".to_owned(), Value::from("enabled")));
        } else if let Some((_, option)) = VALUED.iter().find(|(known, _)| *known == flag) {
            flags.options.push(((*option).to_owned(), Value::from(value(flag)?)));
        } else if let Some((_, option, value)) = SWITCHES.iter().find(|(known, ..)| *known == flag) {
            flags.options.push(((*option).to_owned(), value.clone()));
        } else {
            return Err(format!("Error parsing command line: unrecognised option '{flag}'"));
        }
    }
    if flags.options.iter().any(|(name, _)| name == "systemLog.path") {
        flags.options.push(("systemLog.destination".to_owned(), Value::from("file")));
    }
    Ok(Asked::Run(flags))
}

/// For `--help`.
pub const HELP: &str = "Options:
  -f, --config FILE     configuration file (YAML)
  --port PORT           port to listen on
  --bind_ip ADDRESSES   comma-separated addresses to listen on
  --bind_ip_all         listen on all addresses
  --dbpath FOLDER       where data is kept
  --replSet NAME        name of the replica set
  --auth                demand logins
  --logpath FILE        log to this file
  --logappend           keep what the file has
  --pidfilepath FILE    where to write the process id
  --version             print the version
  -h, --help            print this

A stand-in for mongod, for tests. Environment:
  MONGOD_VERSION        release to be: 5.0, 6.0, 7.0 or 8.0, with or without a patch number
  SECANTUSD             the program secantusd-rs that keeps the data (default: beside this program, or on the PATH)";

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_become_options_and_unknown_ones_are_refused() {
        let options =
            vec![("net.port".to_owned(), Value::from("1")), ("replication.replSetName".to_owned(), "rs".into())];
        let flags = Flags { config: Some("c".to_owned()), options };
        assert_eq!(read(&arguments("-f c --port 1 --replSet=rs")).unwrap(), Asked::Run(flags));
        assert_eq!(read(&arguments("--version --x")).unwrap(), Asked::Version);
        assert!(read(&arguments("--shardsvr")).unwrap_err().contains("unrecognised option '--shardsvr'"));
        assert!(read(&arguments("--port")).unwrap_err().contains("'--port' is missing"));
    }
}
