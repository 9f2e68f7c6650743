//! The test vectors of the Crypto-Conditions draft: all five types.

use ledger::condition::fulfillment::Fulfillment;
use ledger::condition::{Condition, Kind};
use ledger::crypto::Uncached;

use crate::input::{bytes, expect, judge_all, list, number, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, |case| {
        let der = bytes(case, "fulfillment")?;
        let fulfillment = Fulfillment::from_der(&der).map_err(|error| error.to_string())?;
        expect("written again", &fulfillment.to_der(), &der)?;
        let condition = fulfillment.condition().ok_or("it has no condition")?;
        let uri = string(case, "conditionUri")?;
        expect("conditionUri", &condition.to_string().as_str(), &uri)?;
        expect("read from the uri", &uri.parse::<Condition>(), &Ok(condition))?;
        expect("conditionBinary", &condition.to_der(), &Some(bytes(case, "conditionBinary")?))?;
        expect("cost", &condition.cost, &(number(case, "cost")? as u64))?;
        let mut subtypes: Vec<&str> = Vec::new();
        for subtype in list(case, "subtypes")? {
            subtypes.push(subtype.as_str().ok_or("a subtype is no text")?);
        }
        for kind in Kind::ALL {
            expect(kind.name(), &condition.subtypes.contains(kind), &subtypes.contains(&kind.name()))?;
        }
        // All of them fulfil; the ledger refuses RSA.
        let verified = fulfillment.verify(&bytes(case, "message")?, &Uncached);
        expect("fulfils", &verified, &!contains_rsa(&fulfillment))
    })
}

fn contains_rsa(fulfillment: &Fulfillment) -> bool {
    match fulfillment {
        Fulfillment::Rsa { .. } => true,
        Fulfillment::Prefix { subfulfillment, .. } => contains_rsa(subfulfillment),
        Fulfillment::Threshold { subfulfillments, .. } => subfulfillments.iter().any(contains_rsa),
        Fulfillment::Preimage(_) | Fulfillment::Ed25519 { .. } => false,
    }
}
