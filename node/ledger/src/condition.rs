//! Crypto-conditions (draft 02): fulfillments in strict DER, conditions, `ni:` URIs.
//!
//! Submodules: `der` (codec), `details` (the JSON form of an output's condition), `fulfillment`.
