//! Errors of the driver in the store's terms.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use super::documents::Unreadable;
use crate::store::{Result, StoreError};

/// A unique index has the key already.
pub const DUPLICATE_KEY: i32 = 11000;

/// What the driver could not do. Whatever it is, it says nothing about a transaction: all of it may pass.
pub fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(text(error))
}

/// One line, without the server's whole answer.
pub fn text(error: &Error) -> String {
    let text = match error.kind.as_ref() {
        ErrorKind::Command(failure) => format!("{} ({}, code {})", failure.message, failure.code_name, failure.code),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => format!("{} (code {})", failure.message, failure.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => {
            format!("{} ({}, code {})", failure.message, failure.code_name, failure.code)
        }
        ErrorKind::InsertMany(failure) => match (&failure.write_errors, &failure.write_concern_error) {
            (Some(errors), _) if !errors.is_empty() => {
                format!("{} (code {}), {} documents refused", errors[0].message, errors[0].code, errors.len())
            }
            (_, Some(failure)) => format!("{} ({}, code {})", failure.message, failure.code_name, failure.code),
            _ => "documents were refused".to_owned(),
        },
        other => other.to_string(),
    };
    text.replace('\n', " ")
}

/// Whether a document was inserted; `false`: one with its key is there already.
pub fn inserted<T>(outcome: mongodb::error::Result<T>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Whether the only thing wrong is that a document with that key is there already.
fn is_duplicate(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(failure)) => failure.code == DUPLICATE_KEY,
        ErrorKind::Command(failure) => failure.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Places of documents that were there already, if that is all that is wrong with an unordered `insert_many`.
pub fn duplicates(error: &Error) -> Option<Vec<usize>> {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(failure) if failure.write_concern_error.is_none() => {
            let errors = failure.write_errors.as_ref()?;
            errors.iter().all(|e| e.code == DUPLICATE_KEY).then(|| errors.iter().map(|e| e.index).collect())
        }
        _ => None,
    }
}

/// A document that cannot be made or read where one must be.
pub fn damaged(reason: &Unreadable) -> StoreError {
    StoreError::Damaged(reason.to_string())
}
