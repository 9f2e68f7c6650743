//! A real Kubernetes API server for tests, with an etcd of its own: nothing else of a cluster runs, so nobody makes pods,
//! and a namespace, once deleted, stays.
#![allow(dead_code)] // Each test program uses a part of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams, ResourceExt as _};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take. It takes seconds; machines that test are busy.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The token of the one user that the server knows by itself, who may do everything.
const TOKEN: &str = "administrator";

/// Its groups: the last one is allowed everything by Kubernetes itself.
const USERS: &str = "administrator,administrator,administrator,\"system:masters\"\n";

/// One line for each answered request, without what was sent.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}"#;

/// The server that the tests of this program share while one of them holds it.
static SHARED: tokio::sync::Mutex<Weak<ApiServer>> = tokio::sync::Mutex::const_new(Weak::new());

/// A running API server; it and its etcd are killed when the last holder drops it.
pub struct ApiServer {
    api_server: Process,
    etcd: Process,
    kubeconfig: Kubeconfig,
    directory: TempDir,
}

impl ApiServer {
    /// The server of this program's tests, started if none holds it at the moment. Tests keep apart by
    /// [`ApiServer::namespace`]. `None`, a loud line and a count for `make test`, if the programs are not there.
    pub async fn start() -> Option<Arc<Self>> {
        let Some(program) = program() else {
            skip(
                "there is no `kube` (Kubernetes' programs); `k8s/local/build` builds it, or name it in BIGCHAINDB_TEST_KUBE",
            );
            return None;
        };
        let Some(etcd) = in_path("etcd") else {
            skip("there is no `etcd`; `k8s/local/packages etcd-server` installs it");
            return None;
        };
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::launch(&program, &etcd).await);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// Talks to the server as one who may do everything.
    pub async fn client(&self) -> kube::Client {
        client(self.config().await)
    }

    /// Talks to it as this user, who may do what RBAC says: `system:serviceaccount:NAMESPACE:NAME`, or any other name.
    pub async fn client_as(&self, user: &str) -> kube::Client {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(user.to_owned());
        client(config)
    }

    /// How to reach it, to be changed before a client is made of it.
    pub async fn config(&self) -> Config {
        Config::from_custom_kubeconfig(self.kubeconfig.clone(), &KubeConfigOptions::default()).await.unwrap()
    }

    /// The same as a file, for `KUBECONFIG`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Makes a namespace that no other test has, and names it.
    pub async fn namespace(&self) -> String {
        let metadata = ObjectMeta { generate_name: Some("test-".to_owned()), ..ObjectMeta::default() };
        let namespaces = Api::<Namespace>::all(self.client().await);
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap().name_any()
    }

    /// Installs definitions, or brings them up to date, and waits until their resources are served.
    pub async fn install(&self, definitions: &[CustomResourceDefinition]) {
        let api = Api::<CustomResourceDefinition>::all(self.client().await);
        for definition in definitions {
            let name = definition.name_any();
            let parameters = PatchParams::apply("test").force();
            api.patch(&name, &parameters, &Patch::Apply(definition)).await.unwrap();
            let served = await_condition(api.clone(), &name, conditions::is_crd_established());
            tokio::time::timeout(DEADLINE, served).await.unwrap().unwrap();
        }
    }

    /// The requests that were answered since the start, oldest first, as the audit log has them
    /// (`audit.k8s.io/v1`, level Metadata): `verb`, `user`, `objectRef`, `responseStatus` and more.
    pub fn answered(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("audit.log")).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn launch(program: &Path, etcd: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("api-server-").tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("etcd")).unwrap();
        symlink(program, root.join("kube-apiserver")).unwrap();
        fs::write(root.join("audit-policy.json"), AUDIT_POLICY).unwrap();
        fs::write(root.join("users.csv"), USERS).unwrap();
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let server = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = server.cert.pem();
        fs::write(root.join("server.crt"), &certificate).unwrap();
        fs::write(root.join("server.key"), server.signing_key.serialize_pem()).unwrap();
        let accounts = rcgen::KeyPair::generate().unwrap();
        fs::write(root.join("accounts.key"), accounts.serialize_pem()).unwrap();
        fs::write(root.join("accounts.pub"), accounts.public_key_pem()).unwrap();

        // On a socket, so that it needs no port. Its name must look like an address; both processes are in its folder.
        let etcd = Process::start(
            root,
            "etcd",
            Command::new(etcd).args([
                "--data-dir=data",
                "--listen-client-urls=unix://client:0",
                "--advertise-client-urls=unix://client:0",
                "--listen-peer-urls=unix://peer:0",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ]),
        );
        let deadline = Instant::now() + DEADLINE;
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let kubeconfig = kubeconfig(root, port);
            let mut api_server = Process::start(root, "kube-apiserver", &mut api_server(root, port));
            if is_ready(&mut api_server, &kubeconfig, deadline).await {
                fs::write(root.join("kubeconfig"), serde_json::to_string(&kubeconfig).unwrap()).unwrap();
                return Self { api_server, etcd, kubeconfig, directory };
            }
        }
    }
}

/// A process that is killed when dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(root: &Path, name: &str, command: &mut Command) -> Self {
        let log = root.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let errors = output.try_clone().unwrap();
        command.current_dir(root.join("etcd")).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, log }
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn api_server(root: &Path, port: u16) -> Command {
    let file = |name: &str| root.join(name).display().to_string();
    let mut command = Command::new(root.join("kube-apiserver"));
    command.args(["--etcd-servers=unix://client:0", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
    command.args([
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("users.csv")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!("--audit-policy-file={}", file("audit-policy.json")),
        format!("--audit-log-path={}", file("audit.log")),
    ]);
    command.args([
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=198.19.0.0/16",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        // No controller makes the service accounts that pods would need.
        "--disable-admission-plugins=ServiceAccount",
    ]);
    command
}

fn kubeconfig(root: &Path, port: u16) -> Kubeconfig {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": root.join("server.crt"),
        }}],
        "users": [{"name": "administrator", "user": {"token": TOKEN}}],
    });
    serde_json::from_value(kubeconfig).unwrap()
}

/// `false` if somebody took its port meanwhile.
async fn is_ready(api_server: &mut Process, kubeconfig: &Kubeconfig, deadline: Instant) -> bool {
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default()).await.unwrap();
    let client = client(config);
    loop {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        if client.request_text(request).await.is_ok() {
            return true;
        }
        if !api_server.runs() {
            let log = api_server.log();
            assert!(log.contains("address already in use"), "the API server ended; it said:\n{log}");
            return false;
        }
        assert!(Instant::now() < deadline, "the API server is not ready in time; it said:\n{}", api_server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn client(config: Config) -> kube::Client {
    kube::Client::try_from(config).unwrap()
}

/// `BIGCHAINDB_TEST_KUBE`, or the last one that `k8s/local/build` made.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("BIGCHAINDB_TEST_KUBE") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "BIGCHAINDB_TEST_KUBE names `{}`, which is no file", path.display());
        return Some(path);
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let caches = [variable("CACHE"), variable("HOME").map(|home| home.join(".cache/bigchaindb-k8s"))];
    let folders = caches.into_iter().flatten().filter_map(|cache| fs::read_dir(cache.join("kube")).ok()).flatten();
    let programs = folders.filter_map(|folder| {
        let path = folder.ok()?.path().join("kube");
        let made: SystemTime = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.modified().ok()?;
        Some((made, path))
    });
    programs.max().map(|(_, path)| path)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Past the test harness, which shows what a test prints only if it fails; the second line is counted by `make test`.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {why}\n0 passed, 0 failed, 1 skipped");
}
