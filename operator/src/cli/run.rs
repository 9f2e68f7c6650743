//! The arguments of `bigchaindb-operator run`.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::lease;
use crate::telemetry::{LogFormat, LogLevel};

/// Each of them can be given by the environment variable that `--help` names, as the Helm chart does.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    bigchaindb-operator run --namespace bigchaindb-system\n  \
    bigchaindb-operator run --namespace consortium --watch-namespace consortium --log-format json\n\n\
    Outside of a cluster it uses the kubeconfig that kubectl uses.")]
pub struct Arguments {
    /// Look after the nodes of this namespace only [default: of all namespaces]
    #[arg(long, value_name = "NAMESPACE", env = "WATCH_NAMESPACE")]
    watch_namespace: Option<String>,

    /// The operator's own namespace, where its Lease is
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub namespace: String,

    /// Name of its Lease: of all that share one, one works
    #[arg(long, value_name = "NAME", env = "LEASE_NAME", default_value = lease::NAME, value_parser = NonEmptyStringValueParser::new())]
    pub lease_name: String,

    /// What this process is called in its Lease
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value = "bigchaindb-operator", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,

    /// Image of servers whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_SERVER")]
    image_server: Option<String>,

    /// Image of gateways whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_GATEWAY")]
    image_gateway: Option<String>,

    /// Image of databases whose resource names none
    #[arg(long, value_name = "IMAGE", env = "RELATED_IMAGE_MONGODB")]
    image_mongodb: Option<String>,

    /// Where to serve /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS:PORT", env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// How many resources are looked after at once, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,

    /// The DNS server that gateways ask [default: the one of this pod]
    #[arg(long, value_name = "ADDRESS")]
    pub dns_server: Option<IpAddr>,

    /// How a line of the log looks
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// The least grave messages that are logged; of libraries, warnings at most
    #[arg(long, value_enum, default_value_t)]
    pub log_level: LogLevel,
}

impl Arguments {
    /// The one namespace to look after; `None`: all of them.
    pub fn watch_namespace(&self) -> Option<&str> {
        filled(self.watch_namespace.as_ref())
    }

    /// Image of servers whose resource names none.
    pub fn image_server(&self) -> Option<&str> {
        filled(self.image_server.as_ref())
    }

    /// Image of gateways whose resource names none.
    pub fn image_gateway(&self) -> Option<&str> {
        filled(self.image_gateway.as_ref())
    }

    /// Image of databases whose resource names none.
    pub fn image_mongodb(&self) -> Option<&str> {
        filled(self.image_mongodb.as_ref())
    }
}

/// A variable that a chart leaves empty is as good as none.
fn filled(value: Option<&String>) -> Option<&str> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic.
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        let words = std::iter::once("run").chain(line.split_whitespace());
        // The environment of whoever tests is not the test's matter.
        let command = <Program as clap::CommandFactory>::command().mut_args(|argument| argument.env(None::<&str>));
        let matches = command.try_get_matches_from(words)?;
        <Program as clap::FromArgMatches>::from_arg_matches(&matches).map(|program| program.arguments)
    }

    #[test]
    fn defaults() {
        let arguments = parse("--namespace system").unwrap();
        assert_eq!(arguments.watch_namespace(), None);
        assert_eq!((arguments.name.as_str(), arguments.lease_name.as_str()), ("bigchaindb-operator", lease::NAME));
        assert_eq!(arguments.listen, SocketAddr::from(([0, 0, 0, 0], 8080)));
        assert_eq!((arguments.workers, arguments.dns_server), (8, None));
        assert_eq!((arguments.log_format, arguments.log_level), (LogFormat::Text, LogLevel::Info));
        assert_eq!(
            (arguments.image_server(), arguments.image_gateway(), arguments.image_mongodb()),
            (None, None, None)
        );
    }

    #[test]
    fn all_of_them() {
        let arguments = parse(
            "--namespace system --watch-namespace parties --name pod-1 --lease-name mine --image-server s:1 --image-gateway g:2 \
             --image-mongodb m:3 --listen [::1]:9000 --workers 64 --dns-server 10.96.0.10 --log-format json --log-level debug",
        );
        let arguments = arguments.unwrap();
        assert_eq!(arguments.watch_namespace(), Some("parties"));
        assert_eq!((arguments.namespace.as_str(), arguments.name.as_str()), ("system", "pod-1"));
        assert_eq!(arguments.lease_name, "mine");
        let images = (arguments.image_server(), arguments.image_gateway(), arguments.image_mongodb());
        assert_eq!(images, (Some("s:1"), Some("g:2"), Some("m:3")));
        assert_eq!((arguments.listen.port(), arguments.workers), (9000, 64));
        assert_eq!(arguments.dns_server, Some(IpAddr::from([10, 96, 0, 10])));
        assert_eq!((arguments.log_format, arguments.log_level), (LogFormat::Json, LogLevel::Debug));
    }

    #[test]
    fn what_is_empty_is_absent_and_what_is_senseless_is_refused() {
        let arguments = parse("--namespace system --watch-namespace= --image-server=").unwrap();
        assert_eq!((arguments.watch_namespace(), arguments.image_server()), (None, None));
        for line in [
            "",
            "--namespace=",
            "--namespace system --lease-name=",
            "--namespace system --workers 0",
            "--namespace system --workers 65",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
