//! Broken rules: one variant each, with the reference's own words.

use std::fmt;

/// The first rule that something breaks.
///
/// `Display` gives the text of BigchainDB Server 1.0.1, [`Invalid::class`] the name of its exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// The structure is wrong; the text is jsonschema's.
    Schema(String),
    /// The id is not the hash of the body.
    TransactionHash {
        /// The id as posted.
        id: String,
    },
    /// A string in `fulfillment` is no fulfillment.
    FulfillmentUnparsable,
    /// A fulfillment does not fulfil.
    Signature,
    /// An amount outside 1 ..= 9 * 10^18, or sums that differ; the text says which.
    Amount(String),
    /// The spent transaction is unknown.
    InputDoesNotExist {
        /// `fulfills.transaction_id` as posted.
        transaction_id: String,
    },
    /// The spent transaction is in no valid block.
    TransactionNotInValidBlock {
        /// `fulfills.transaction_id` as posted.
        transaction_id: String,
    },
    /// Somebody else spends the output.
    AlreadySpent {
        /// `fulfills.transaction_id` as posted.
        transaction_id: String,
    },
    /// One transaction names an output twice.
    SpentTwiceWithin {
        /// Id of the judged transaction.
        id: String,
    },
    /// The inputs belong to several assets.
    AssetIdsDiffer,
    /// The inputs' asset is not the transaction's.
    AssetIdMismatch,
    /// Thresholds nested 100 levels or more.
    ThresholdTooDeep,
    /// `strict` only: `owners_before` are not whom they must be; the text says whom.
    Owner(String),
    /// `strict` only: a fulfillment without any signature.
    Unsigned(String),
    /// A GENESIS transaction after the first block.
    DuplicateGenesis,
    /// A condition that no admission rule of the ledger allows (size, key names, `language`, numbers).
    Admission(String),
    /// Input on which the reference itself fails with HTTP 500; the text is ours.
    ReferenceFails(String),
    /// A block or vote whose id is not its hash.
    BlockHash {
        /// The id as given.
        id: String,
    },
    /// A block from outside the federation.
    Sybil,
    /// A block whose signature does not verify.
    BlockSignature,
    /// A block with one transaction twice.
    DuplicateTransaction,
    /// `strict` only: a block whose voters are no federation of the keyring.
    Voters(String),
}

impl Invalid {
    /// Name of the reference's exception class, as its messages show it. A closed set: fit for a metric's label.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Schema(_) => "SchemaValidationError",
            Self::TransactionHash { .. } | Self::BlockHash { .. } => "InvalidHash",
            Self::FulfillmentUnparsable | Self::Signature | Self::Unsigned(_) | Self::BlockSignature => {
                "InvalidSignature"
            }
            Self::Amount(_) => "AmountError",
            Self::InputDoesNotExist { .. } => "InputDoesNotExist",
            Self::TransactionNotInValidBlock { .. } => "TransactionNotInValidBlock",
            Self::AlreadySpent { .. } | Self::SpentTwiceWithin { .. } => "DoubleSpend",
            Self::AssetIdsDiffer | Self::AssetIdMismatch => "AssetIdMismatch",
            Self::ThresholdTooDeep => "ThresholdTooDeep",
            Self::Owner(_) => "TransactionOwnerError",
            Self::DuplicateGenesis => "GenesisBlockAlreadyExistsError",
            Self::Admission(_) | Self::ReferenceFails(_) => "ValidationError",
            Self::Sybil | Self::Voters(_) => "SybilError",
            Self::DuplicateTransaction => "DuplicateTransaction",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(text)
            | Self::Amount(text)
            | Self::Owner(text)
            | Self::Unsigned(text)
            | Self::Admission(text)
            | Self::ReferenceFails(text)
            | Self::Voters(text) => f.write_str(text),
            Self::TransactionHash { id } => {
                write!(f, "The transaction's id '{id}' isn't equal to the hash of its body, i.e. it's not valid.")
            }
            Self::FulfillmentUnparsable => f.write_str("Fulfillment URI couldn't been parsed"),
            Self::Signature => f.write_str("Transaction signature is invalid."),
            Self::InputDoesNotExist { transaction_id } => write!(f, "input `{transaction_id}` doesn't exist"),
            Self::TransactionNotInValidBlock { transaction_id } => {
                write!(f, "input `{transaction_id}` does not exist in a valid block")
            }
            Self::AlreadySpent { transaction_id } => write!(f, "input `{transaction_id}` was already spent"),
            Self::SpentTwiceWithin { id } => write!(f, "tx \"{id}\" spends inputs twice"),
            Self::AssetIdsDiffer => f.write_str("All inputs of all transactions passed need to have the same asset id"),
            Self::AssetIdMismatch => {
                f.write_str("The asset id of the input does not match the asset id of the transaction")
            }
            Self::ThresholdTooDeep => Ok(()),
            Self::DuplicateGenesis => f.write_str("Duplicate GENESIS transaction"),
            Self::BlockHash { id } => write!(f, "The block's id '{id}' isn't equal to the hash of its body."),
            Self::Sybil => f.write_str("Only federation nodes can create blocks"),
            Self::BlockSignature => f.write_str("Invalid block signature"),
            Self::DuplicateTransaction => f.write_str("Block has duplicate transaction"),
        }
    }
}

impl std::error::Error for Invalid {}
