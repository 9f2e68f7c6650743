//! Details with the condition that they describe.

use ledger::condition::{Condition, details};

use crate::input::{bytes, expect, judge_all, member, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, |case| {
        let condition = details::read(member(case, "details")?).map_err(|error| error.to_string())?.condition;
        let uri = string(case, "uri")?;
        expect("uri", &condition.to_string().as_str(), &uri)?;
        expect("read from the uri", &uri.parse::<Condition>(), &Ok(condition))?;
        expect("binary", &condition.to_der(), &Some(bytes(case, "binary")?))
    })
}
