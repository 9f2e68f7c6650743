//! A running NGINX with a generated configuration, as an unprivileged user.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bigchaindb_operator::nginx::values::{ByteSize, FilePath, HostName};
use bigchaindb_operator::nginx::{self, Server, Settings};

use crate::dns::Dns;

/// How long anything may take that happens by itself.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The node's name in DNS.
pub const NODE: &str = "node-a-bdb.default.svc.cluster.local";
/// MongoDB's.
pub const MONGODB: &str = "node-a-mdb.default.svc.cluster.local";
pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Who owns nothing.
const NOBODY: u32 = 65534;

/// NGINX and its stream module.
pub struct Program {
    nginx: PathBuf,
    stream_module: Option<PathBuf>,
}

/// `BIGCHAINDB_TEST_NGINX`, or what `scripts/nginx` fetched. `None`, a loud line and a count for `make test`, if
/// there is neither.
pub fn program() -> Option<Program> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    if let Some(nginx) = variable("BIGCHAINDB_TEST_NGINX") {
        assert!(nginx.is_file(), "BIGCHAINDB_TEST_NGINX names `{}`, which is no file", nginx.display());
        return Some(Program { nginx, stream_module: variable("BIGCHAINDB_TEST_NGINX_STREAM") });
    }
    let caches = [variable("CACHE"), variable("HOME").map(|home| home.join(".cache/bigchaindb-k8s"))];
    let root = caches
        .into_iter()
        .flatten()
        .map(|cache| cache.join("nginx/usr"))
        .find(|root| root.join("sbin/nginx").is_file());
    let Some(root) = root else {
        skip(
            "there is no NGINX; `scripts/nginx` fetches Debian's, or name one in BIGCHAINDB_TEST_NGINX (and its stream module \
             in BIGCHAINDB_TEST_NGINX_STREAM, unless it is built in)",
        );
        return None;
    };
    let stream_module = root.join("lib/nginx/modules/ngx_stream_module.so");
    Some(Program { nginx: root.join("sbin/nginx"), stream_module: Some(stream_module) })
}

/// Ended when dropped.
pub struct Gateway {
    pub settings: Settings,
    child: Child,
    directory: tempfile::TempDir,
}

/// Settings of production, for a node whose name `dns` knows.
pub fn settings(dns: &Dns) -> Settings {
    let host = HostName::parse("host", NODE).unwrap();
    Settings {
        listen: vec![LOCALHOST],
        port: 80,
        websocket_port: Some(81),
        health_port: 8888,
        tls: None,
        server: Server { host, http_port: 9984, websocket_port: 9985 },
        mongodb: None,
        dns_servers: vec![dns.address],
        dns_valid: nginx::DNS_VALID,
        max_body_size: ByteSize::parse("maxBodySize", nginx::MAX_BODY_SIZE).unwrap(),
        rate_limit: None,
        client_timeout: nginx::CLIENT_TIMEOUT,
        answer_timeout: nginx::ANSWER_TIMEOUT,
        keep_alive: nginx::KEEP_ALIVE,
        stream_timeout: nginx::STREAM_TIMEOUT,
        directory: FilePath::parse("directory", "/tmp").unwrap(),
        stream_module: None,
    }
}

/// A file that NGINX may read.
pub fn file(path: &Path, text: &str) -> FilePath {
    fs::write(path, text).unwrap();
    FilePath::parse("file", path.to_str().unwrap()).unwrap()
}

impl Gateway {
    /// Starts it with these settings on ports that the system chooses; it listens when this returns.
    pub fn start(program: &Program, mut settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::metadata(directory.path()).unwrap().uid() == 0;
        let path = |path: &Path| FilePath::parse("path", path.to_str().unwrap()).unwrap();
        settings.directory = path(directory.path());
        // The user that runs it may see nothing of the home that it was fetched into.
        let nginx = copy(&program.nginx, directory.path());
        settings.stream_module = program.stream_module.as_deref().map(|module| path(&copy(module, directory.path())));
        let deadline = Instant::now() + DEADLINE;
        loop {
            let [port, websocket_port, health_port, mongodb_port] = free_ports();
            settings.port = port;
            settings.websocket_port = settings.websocket_port.map(|_| websocket_port);
            settings.health_port = health_port;
            if let Some(mongodb) = &mut settings.mongodb {
                mongodb.port = mongodb_port;
            }
            settings.check().unwrap();
            let config = directory.path().join("nginx.conf");
            fs::write(&config, nginx::config(&settings)).unwrap();
            let output = |name: &str| File::create(directory.path().join(name)).unwrap();
            let (stdout, stderr) = (output("stdout"), output("stderr"));
            if root {
                for name in ["", "nginx.conf", "stdout", "stderr"] {
                    chown(directory.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
                }
            }
            let command = |arguments: &[&str]| {
                let mut command = Command::new(&nginx);
                command.args(["-e", "stderr", "-p"]).arg(directory.path()).arg("-c").arg(&config).args(arguments);
                command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
                if root {
                    command.gid(NOBODY).uid(NOBODY);
                }
                command
            };
            let tested = command(&["-t"]).status().unwrap();
            let said = || fs::read_to_string(directory.path().join("stderr")).unwrap();
            let taken = || said().contains("Address already in use");
            if tested.success() {
                assert!(!said().contains("[warn]"), "{}", said());
                let mut child = command(&[]).spawn().unwrap();
                if listens(&mut child, health_port) {
                    return Self { settings, child, directory };
                }
            }
            // Somebody else may have taken a port.
            assert!(taken() && Instant::now() < deadline, "NGINX does not start: {}", said());
        }
    }

    /// A connection to the API's port.
    pub fn connect(&self) -> TcpStream {
        connect(self.settings.port)
    }

    /// The answer to a request without a body on the API's port.
    pub fn get(&self, path: &str) -> Response {
        request(self.connect(), &format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"))
    }

    /// What it wrote into its log of errors.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap()
    }

    /// What it wrote into its log of accesses.
    pub fn accesses(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).unwrap()
    }

    /// The user that it runs as.
    pub fn user(&self) -> u32 {
        fs::metadata(format!("/proc/{}", self.child.id())).unwrap().uid()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGTERM lets it end its workers; SIGKILL would leave them behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn copy(file: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join(file.file_name().unwrap());
    fs::copy(file, &copy).unwrap();
    copy
}

fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind((LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn listens(child: &mut Child, port: u16) -> bool {
    wait_for("NGINX to listen", || match child.try_wait().unwrap() {
        Some(_) => Some(false),
        None => TcpStream::connect((LOCALHOST, port)).is_ok().then_some(true),
    })
}

/// Looks again until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Head and body.
    pub text: String,
}

/// Sends a text and reads until the other side ends.
pub fn request(mut stream: impl Read + Write, text: &str) -> Response {
    // An answer may come, and the connection end, before all is sent.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend(&part[..length]),
            Err(error) if answer.is_empty() => panic!("no answer: {error}"),
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Response { status: status.unwrap_or_else(|| panic!("no HTTP: {text:?}")), text }
}

/// Past the test harness, which shows what a test prints only if it fails; the second line is counted by `make test`.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {why}\n0 passed, 0 failed, 1 skipped");
}
