//! Making and signing transactions: what a client does.

use crate::crypto::PrivateKey;
use crate::ids::PublicKey;
use crate::json::Value;
use crate::transaction::Transaction;

/// One output to be made: its owners (all must sign to spend it) and its amount.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// One key: a plain condition; several: an n-of-n threshold in this order.
    pub public_keys: Vec<PublicKey>,
    /// Shares.
    pub amount: u64,
}

/// Why a transaction cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// An argument is wrong; the text says which and what to do.
    Argument(String),
    /// No private key was given for this owner.
    MissingKey(PublicKey),
}

/// An unsigned CREATE, as JSON with details in place of fulfillments (what the Python driver's `prepare` gives).
pub fn create(
    _signers: &[PublicKey],
    _recipients: &[Recipient],
    _asset: Option<Value<'_>>,
    _metadata: Option<Value<'_>>,
) -> Result<Value<'static>, BuildError> {
    todo!()
}

/// An unsigned TRANSFER of the given outputs of `spent` transactions.
pub fn transfer(
    _spent: &[(&Transaction, u64)],
    _recipients: &[Recipient],
    _metadata: Option<Value<'_>>,
) -> Result<Value<'static>, BuildError> {
    todo!()
}

/// Signs every input for which all keys are given. Inputs that are signed already stay.
pub fn sign(_unsigned: &Value<'_>, _keys: &[PrivateKey]) -> Result<Value<'static>, BuildError> {
    todo!()
}
