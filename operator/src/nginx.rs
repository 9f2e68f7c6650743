//! The configuration of the gateway's NGINX, as a text.
//!
//! It behaves as the gateway of the 1.0.1 production guide did (limits, time-outs, what is passed on), and beyond it
//! serves the WebSocket stream on the API's port as well, several names with a certificate each, and a health endpoint.
//! It runs as any user with a read-only root: all that is written goes below [`Settings::directory`], and logs go to
//! standard output and error. Certificates are read for each handshake, so a renewed one counts with no reload.
//!
//! The types of [`Settings`] cannot hold a character that ends a directive: see [`values`].

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub mod values;

use values::{ByteSize, FilePath, HostName, Invalid, Network, ServerName};

/// Time-outs and limits of the 1.0.1 production guide's NGINX.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(300);
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
pub const DNS_VALID: Duration = Duration::from_secs(20);
pub const MAX_BODY_SIZE: &str = "15k";
pub const RATE_LIMIT: RateLimit = RateLimit { per_second: 10, burst: 20 };
pub const MONGODB_CONNECTIONS: u32 = 16;

/// Everything that the configuration depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens: `0.0.0.0`, and `::` where the cluster has IPv6 addresses.
    pub listen: Vec<IpAddr>,
    /// API and WebSocket stream.
    pub port: u16,
    /// The WebSocket stream alone, as in 1.0.1.
    pub websocket_port: Option<u16>,
    /// `GET /health`, over plain HTTP in both modes.
    pub health_port: u16,
    /// HTTPS, or plain HTTP if there is none.
    pub tls: Option<Tls>,
    pub server: Server,
    /// TCP to MongoDB; needs NGINX's stream module.
    pub mongodb: Option<MongoDb>,
    /// Who resolves names, at run time: the cluster's DNS Service.
    pub dns_servers: Vec<SocketAddr>,
    /// How long an answer of DNS counts, whatever it says itself; in whole seconds.
    pub dns_valid: Duration,
    /// Requests with larger bodies are answered with 413.
    pub max_body_size: ByteSize,
    /// Requests above it are answered with 429; `None` for no limit. The WebSocket stream has none.
    pub rate_limit: Option<RateLimit>,
    /// How long a client may take for its headers, between two parts of its body, and to take the answer.
    pub client_timeout: Duration,
    /// A node that is silent for this long while it owes an answer counts as away.
    pub answer_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive: Duration,
    /// A WebSocket stream that is silent for this long is cut.
    pub stream_timeout: Duration,
    /// Where it may write: its process id and what does not fit into memory.
    pub directory: FilePath,
    /// NGINX's stream module, where it is no part of the program.
    pub stream_module: Option<FilePath>,
}

/// BigchainDB Server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A whole name: there is no search list.
    pub host: HostName,
    pub http_port: u16,
    pub websocket_port: u16,
}

/// The passthrough to MongoDB, which ends TLS itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MongoDb {
    /// Where it listens.
    pub port: u16,
    /// A whole name: there is no search list.
    pub host: HostName,
    pub host_port: u16,
    /// Who may connect; nobody else.
    pub allow: Vec<Network>,
    /// Connections of one address at a time.
    pub connections: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests of one address in a second.
    pub per_second: u32,
    /// Requests above that are served at once until so many are ahead of the rate.
    pub burst: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub min_version: TlsVersion,
    /// For clients that name no server, or none of [`Tls::named`].
    pub default: KeyPairFiles,
    /// The certificates of further names.
    pub named: Vec<Named>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub names: Vec<ServerName>,
    pub files: KeyPairFiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The certificate, followed by its intermediates; PEM.
    pub certificate: FilePath,
    pub key: FilePath,
}

impl Settings {
    /// What NGINX would refuse or silently do otherwise, all of it at once, although each value is one.
    pub fn check(&self) -> Result<(), Vec<Invalid>> {
        let mut faults = Vec::new();
        let mut taken = vec![("port", self.port)];
        let others = [
            ("websocketPort", self.websocket_port),
            ("healthPort", Some(self.health_port)),
            ("mongodb.port", self.mongodb.as_ref().map(|mongodb| mongodb.port)),
        ];
        for (field, port) in others.into_iter().filter_map(|(field, port)| Some((field, port?))) {
            match taken.iter().find(|(_, other)| *other == port) {
                Some((other, _)) => faults.push(Invalid::new(field, port, format!("the port of `{other}`, too"))),
                None => taken.push((field, port)),
            }
        }
        faults.extend(
            taken.iter().filter(|(_, port)| *port == 0).map(|(field, port)| Invalid::new(field, port, "no port")),
        );
        for (field, missing) in [("listen", self.listen.is_empty()), ("dnsServer", self.dns_servers.is_empty())] {
            if missing {
                faults.push(Invalid::new(field, "", "empty: at least one address is needed"));
            }
        }
        let limits = [
            ("rateLimit", self.rate_limit.map(|limit| limit.per_second)),
            ("mongodb.connections", self.mongodb.as_ref().map(|mongodb| mongodb.connections)),
        ];
        faults.extend(
            limits
                .into_iter()
                .filter(|(_, limit)| *limit == Some(0))
                .map(|(field, _)| Invalid::new(field, 0, "not at least 1")),
        );
        let mut names: Vec<&ServerName> = Vec::new();
        for name in self.tls.iter().flat_map(|tls| &tls.named).flat_map(|named| &named.names) {
            if names.contains(&name) {
                faults.push(Invalid::new("serverName", name, "given twice"));
            }
            names.push(name);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// The configuration for settings that [`Settings::check`] has nothing against.
pub fn config(settings: &Settings) -> String {
    let mut text = Text::default();
    main_part(&mut text, settings);
    text.block("http", |text| http(text, settings));
    if let Some(mongodb) = &settings.mongodb {
        text.block("stream", |text| stream(text, settings, mongodb));
    }
    text.finished
}

fn main_part(text: &mut Text, settings: &Settings) {
    if let (Some(module), Some(_)) = (&settings.stream_module, &settings.mongodb) {
        text.line(format_args!("load_module {module}"));
    }
    text.line("daemon off");
    text.line(format_args!("pid {}/nginx.pid", settings.directory));
    text.line("error_log stderr warn");
    text.line("worker_processes 2");
    // At the end of a pod: WebSocket streams would be waited for until somebody kills all.
    text.line("worker_shutdown_timeout 10s");
    // Each client costs two.
    text.block("events", |text| text.line("worker_connections 4096"));
}

fn http(text: &mut Text, settings: &Settings) {
    let directory = &settings.directory;
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text.line(format_args!("{kind}_temp_path {directory}/{kind}"));
    }
    text.line("access_log /dev/stdout combined");
    text.line("server_tokens off");
    text.line("default_type application/json");
    resolver(text, settings);
    let client_timeout = time(settings.client_timeout);
    for phase in ["client_header_timeout", "client_body_timeout", "send_timeout"] {
        text.line(format_args!("{phase} {client_timeout}"));
    }
    text.line("reset_timedout_connection on");
    text.line(format_args!("keepalive_timeout {}", time(settings.keep_alive)));
    text.line(format_args!("client_max_body_size {}", settings.max_body_size));
    text.line("underscores_in_headers on");
    if let Some(limit) = settings.rate_limit {
        text.line(format_args!("limit_req_zone $binary_remote_addr zone=requests:10m rate={}r/s", limit.per_second));
        text.line("limit_req_status 429");
        text.line("limit_req_log_level warn");
    }
    // Requests of HTTP/1.0 need not name a host, those to the node must.
    text.block("map $http_host $client_host", |text| {
        text.line("default $http_host");
        text.line("'' localhost");
    });
    if let Some(tls) = &settings.tls {
        tls_part(text, tls);
    }
    let ports = std::iter::once((settings.port, true)).chain(settings.websocket_port.map(|port| (port, false)));
    for (port, api) in ports {
        text.block("server", |text| {
            listen(text, settings, port, if settings.tls.is_some() { " ssl" } else { "" });
            proxy(text, settings);
            // Not `/api/v1/streams/` as a prefix: NGINX would redirect the path without its last slash.
            text.block("location ~ ^/api/v1/streams/", |text| websocket(text, settings));
            if api {
                // What the node tells whoever runs it; it answers with a slash at the end, too.
                text.block("location ~ ^/(metrics|healthz|readyz)/?$", |text| text.line("return 404"));
            }
            text.block("location /", |text| if api { api_part(text, settings) } else { text.line("return 404") });
            text.block("location @away", |text| {
                text.line("return 503 '{\"message\": \"The node does not answer in time.\", \"status\": 503}'");
            });
        });
    }
    text.block("server", |text| {
        listen(text, settings, settings.health_port, "");
        text.line("access_log off");
        text.block("location = /health", |text| text.line("return 200 '{\"status\": \"ok\"}'"));
        text.block("location /", |text| text.line("return 404"));
    });
}

/// One block serves all names: the certificate is chosen by what the client asks for (SNI). A file name with a
/// variable is opened anew for each handshake.
fn tls_part(text: &mut Text, tls: &Tls) {
    by_name(text, "$tls_certificate", tls, |files| &files.certificate);
    by_name(text, "$tls_key", tls, |files| &files.key);
    text.line("ssl_certificate $tls_certificate");
    text.line("ssl_certificate_key $tls_key");
    text.line(match tls.min_version {
        TlsVersion::V1_2 => "ssl_protocols TLSv1.2 TLSv1.3",
        TlsVersion::V1_3 => "ssl_protocols TLSv1.3",
    });
    // For TLS 1.2; all with forward secrecy and authenticated encryption.
    text.line("ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20");
    text.line("ssl_session_cache shared:sessions:1m");
    text.line("ssl_session_tickets off");
}

/// A variable that is one of the files for the name that a client asks for.
fn by_name(text: &mut Text, variable: &str, tls: &Tls, file: fn(&KeyPairFiles) -> &FilePath) {
    text.block(&format!("map $ssl_server_name {variable}"), |text| {
        text.line("hostnames");
        text.line(format_args!("default {}", file(&tls.default)));
        for named in &tls.named {
            named.names.iter().for_each(|name| text.line(format_args!("{name} {}", file(&named.files))));
        }
    });
}

/// What all requests to the node have in common.
fn proxy(text: &mut Text, settings: &Settings) {
    // A variable makes NGINX resolve the name at run time.
    text.line(format_args!("set $node {}", settings.server.host));
    text.line("proxy_http_version 1.1");
    text.line("proxy_set_header Host $client_host");
    text.line("proxy_set_header X-Real-IP $remote_addr");
    // A transaction that was sent is not withdrawn because its sender hung up.
    text.line("proxy_ignore_client_abort on");
    text.line("proxy_connect_timeout 5s");
    text.line(format_args!("proxy_read_timeout {}", time(settings.answer_timeout)));
    // A node that is unreachable is away, like one that refuses.
    text.line("error_page 504 =503 @away");
}

fn api_part(text: &mut Text, settings: &Settings) {
    if let Some(limit) = settings.rate_limit {
        text.line(format_args!("limit_req zone=requests burst={} nodelay", limit.burst));
    }
    text.line(format_args!("proxy_pass http://$node:{}", settings.server.http_port));
}

fn websocket(text: &mut Text, settings: &Settings) {
    // Directives of one kind are inherited all or none.
    text.line("proxy_set_header Host $client_host");
    text.line("proxy_set_header X-Real-IP $remote_addr");
    text.line("proxy_set_header Upgrade $http_upgrade");
    text.line("proxy_set_header Connection upgrade");
    let timeout = time(settings.stream_timeout);
    text.line(format_args!("proxy_read_timeout {timeout}"));
    text.line(format_args!("proxy_pass http://$node:{}", settings.server.websocket_port));
}

fn stream(text: &mut Text, settings: &Settings, mongodb: &MongoDb) {
    text.line("log_format connections '$remote_addr [$time_local] $status $bytes_sent $bytes_received $session_time'");
    text.line("access_log /dev/stdout connections");
    resolver(text, settings);
    text.line("limit_conn_zone $binary_remote_addr zone=connections:10m");
    text.block("server", |text| {
        listen(text, settings, mongodb.port, " so_keepalive=10m:1m:5");
        for network in &mongodb.allow {
            text.line(format_args!("allow {network}"));
        }
        text.line("deny all");
        text.line(format_args!("limit_conn connections {}", mongodb.connections));
        text.line("preread_timeout 30s");
        text.line("proxy_connect_timeout 5s");
        text.line("proxy_socket_keepalive on");
        text.line(format_args!("set $mongodb {}", mongodb.host));
        text.line(format_args!("proxy_pass $mongodb:{}", mongodb.host_port));
    });
}

fn resolver(text: &mut Text, settings: &Settings) {
    let servers: String = settings.dns_servers.iter().map(|server| format!("{server} ")).collect();
    // Whole seconds are all that it takes.
    text.line(format_args!("resolver {servers}valid={}s", settings.dns_valid.as_secs().max(1)));
    text.line("resolver_timeout 5s");
}

fn listen(text: &mut Text, settings: &Settings, port: u16, options: &str) {
    for address in &settings.listen {
        text.line(format_args!("listen {}{options}", SocketAddr::new(*address, port)));
    }
}

/// NGINX counts a time of nothing as none at all in some directives: a millisecond is the least.
fn time(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

/// Directives, indented.
#[derive(Default)]
struct Text {
    finished: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, directive: impl std::fmt::Display) {
        let indent = 4 * self.depth;
        // A string takes all that is written to it.
        let _ = writeln!(self.finished, "{:indent$}{directive};", "");
    }

    fn block(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let indent = 4 * self.depth;
        let _ = writeln!(self.finished, "{:indent$}{name} {{", "");
        self.depth += 1;
        content(self);
        self.depth -= 1;
        let _ = writeln!(self.finished, "{:indent$}}}", "");
    }
}
