//! Certificates of a BigchainDB consortium: what the production guide of 1.0.1 does with Easy-RSA and `openssl`.
//!
//! Pure: no I/O and no clock; the time, serial numbers and keys are arguments. Only [`PrivateKey::generate`],
//! [`Serial::random`] and the nonces of signatures draw from the operating system, through ring, which lets nobody bring
//! random numbers of their own: whoever needs the same certificate twice keeps key, serial number and time, and has
//! everything but the signature the same.
//!
//! - [`authority`]: the consortium's certificate authority, which signs leaves and revocation lists
//! - [`leaf`]: which certificates there are, and what stands in each
//! - [`certificate`], [`revocation`], [`key`]: what is read back from a file
//! - [`subject`]: the subject as RFC 2253 writes it, which is the name of a MongoDB user
//! - [`supplied`]: material that a user made, in the layouts of 1.0.1's operators and of cert-manager
//! - [`check`]: what is wrong with it
//! - [`renewal`]: whether a certificate or a list is to be replaced
//!
//! Not here: the agents' certificates and signing requests of other parties, which nothing asks for yet.

pub mod authority;
pub mod certificate;
pub mod check;
pub mod error;
pub mod key;
pub mod leaf;
pub mod renewal;
pub mod revocation;
pub mod subject;
pub mod supplied;

mod armor;

pub use authority::Authority;
pub use certificate::{Certificate, Serial};
pub use error::Error;
pub use key::PrivateKey;
pub use leaf::{Leaf, Role, Validity};
pub use revocation::RevocationList;
