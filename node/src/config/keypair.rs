//! The node's key pair: configured, read from a mounted file, or kept beside the embedded store.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::crypto::PrivateKey;
use ledger::ids::PublicKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key pair. `Debug` shows the public half only.
#[derive(Clone)]
pub struct Keypair {
    /// Who the node is.
    pub public: PublicKey,
    /// What it signs with.
    pub private: Arc<PrivateKey>,
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.public)
    }
}

/// Why there is no key pair. Never shows a private key.
#[derive(Debug, thiserror::Error)]
pub enum KeypairError {
    /// The file is there and does not read.
    #[error("{path}: {reason}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system gave no random bytes.
    #[error("the system's random number generator failed: {0}")]
    Random(String),
}

impl Keypair {
    /// A new one from the system's random number generator.
    pub fn generate() -> Result<Self, KeypairError> {
        loop {
            let mut seed = Zeroizing::new([0; 32]);
            rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, seed.as_mut())
                .map_err(|e| KeypairError::Random(e.to_string()))?;
            let pair = Self::from_private(PrivateKey::from_seed(&seed));
            if pair.public.fits_schema() {
                return Ok(pair);
            }
        }
    }

    /// The pair of a private key.
    pub fn from_private(private: PrivateKey) -> Self {
        Self { public: private.public_key(), private: Arc::new(private) }
    }

    /// Base58 text of a private key. The error never shows the text.
    pub fn from_base58(text: &str) -> Result<Self, String> {
        private_from_base58(text).map(Self::from_private)
    }

    /// `{"public": …, "private": …}`: holds the private key.
    pub fn to_json(&self) -> Value {
        json!({"public": self.public.to_string(), "private": self.private.to_base58().as_str()})
    }

    /// Reads a key file, see [`read_private`].
    pub fn read(path: &Path) -> Result<Self, KeypairError> {
        read_private(path).map(Self::from_private)
    }

    /// Writes a key file that only its owner can read. Fails if the file exists.
    pub fn write_new(&self, path: &Path) -> Result<(), KeypairError> {
        let unusable = |e: std::io::Error| KeypairError::Unusable {
            path: path.to_owned(),
            reason: match e.kind() {
                std::io::ErrorKind::AlreadyExists => "exists already; it is left as it is".to_owned(),
                _ => format!("cannot be written: {e}"),
            },
        };
        let mut text = Zeroizing::new(serde_json::to_string_pretty(&self.to_json()).unwrap_or_default());
        text.push('\n');
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unusable)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unusable)
    }
}

/// Reads a key file: [`Keypair::to_json`]'s form, or nothing but the private key's base58 text.
pub fn read_private(path: &Path) -> Result<PrivateKey, KeypairError> {
    let unusable = |reason: String| KeypairError::Unusable { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| unusable(format!("cannot be read: {e}")))?;
    parse(&Zeroizing::new(text)).map_err(unusable)
}

fn private_from_base58(text: &str) -> Result<PrivateKey, String> {
    PrivateKey::from_base58(text).map_err(|_| "is not a base58 Ed25519 private key of 32 bytes".to_owned())
}

fn parse(text: &str) -> Result<PrivateKey, String> {
    let text = text.trim();
    if !text.starts_with('{') {
        return private_from_base58(text);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| "is no JSON".to_owned())?;
    let private = value.get("private").and_then(Value::as_str).ok_or("has no text `private`")?;
    let private = private_from_base58(private).map_err(|reason| format!("`private` {reason}"))?;
    match value.get("public").and_then(Value::as_str) {
        Some(public) if public != private.public_key().to_string() => {
            Err(format!("`public` is {public}, but the private key belongs to {}", private.public_key()))
        }
        _ => Ok(private),
    }
}

/// Where the embedded store keeps a generated pair.
pub fn file_in(directory: &Path) -> PathBuf {
    directory.join("keypair.json")
}

/// Reads the embedded store's pair, or makes and writes one.
pub fn load_or_generate(directory: &Path) -> Result<Keypair, KeypairError> {
    let path = file_in(directory);
    if path.try_exists().unwrap_or(true) {
        return Keypair::read(&path);
    }
    std::fs::create_dir_all(directory)
        .map_err(|e| KeypairError::Unusable { path: directory.to_owned(), reason: format!("cannot be made: {e}") })?;
    let pair = Keypair::generate()?;
    // Under another name first: a crash in between leaves no half-written key.
    let fresh = directory.join(format!("keypair.{}.new", std::process::id()));
    pair.write_new(&fresh)?;
    let unusable =
        |e: std::io::Error| KeypairError::Unusable { path: path.clone(), reason: format!("cannot be written: {e}") };
    // A hard link fails where a rename would overwrite what another process made in the meantime.
    let linked = std::fs::hard_link(&fresh, &path);
    std::fs::remove_file(&fresh).map_err(unusable)?;
    match linked {
        Ok(()) => {
            std::fs::File::open(directory).and_then(|d| d.sync_all()).map_err(unusable)?;
            Ok(pair)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Keypair::read(&path),
        Err(e) => Err(unusable(e)),
    }
}
