//! Votes with the outcome that the reference tallied.

use ledger::crypto::Uncached;
use ledger::election::tally;
use ledger::ids::PublicKey;
use ledger::json::Value;

use crate::input::{expect, judge_all, list, member, number, string};

pub fn judge(text: &str) -> (usize, Vec<String>) {
    judge_all(text, judge_case)
}

fn judge_case(case: &Value<'_>) -> Result<(), String> {
    let block = member(case, "block")?;
    let id = string(block, "id")?.parse().map_err(|error| format!("{error}"))?;
    let voters = texts(list(member(block, "block")?, "voters")?)?;
    let mut federation: Vec<PublicKey> = Vec::new();
    for key in texts(list(case, "keyring")?)? {
        federation.push(key.parse().map_err(|error| format!("{error}"))?);
    }
    let election = tally(&id, &voters, &federation, list(case, "votes")?, &Uncached);
    let election = election.map_err(|error| format!("two votes of {}", error.node_pubkey))?;

    let wanted = member(case, "expect")?;
    expect("status", &election.status.as_str(), &string(wanted, "status")?)?;
    let counts = member(wanted, "counts")?;
    expect("n_valid", &election.n_valid, &number(counts, "n_valid")?)?;
    expect("n_invalid", &election.n_invalid, &number(counts, "n_invalid")?)?;
    expect("n_ineligible", &election.ineligible, &number(wanted, "n_ineligible")?)?;
    expect("n_malformed", &election.malformed, &number(wanted, "n_malformed")?)?;

    // Which of several equally common previous blocks wins is not defined: only the counts are.
    let others = member(wanted, "other_previous_block")?.as_object().ok_or("`other_previous_block` is no object")?;
    let mut counted: Vec<(String, usize)> = Vec::new();
    for (block, _) in others.iter() {
        counted.push((block.to_owned(), number(member(wanted, "other_previous_block")?, block)?));
    }
    let tie = counted.iter().any(|(_, count)| *count == election.n_valid);
    if !tie {
        expect("previous_block", &election.previous_block.as_deref(), &member(wanted, "previous_block")?.as_str())?;
        let mut others = election.other_previous_block;
        others.sort();
        counted.sort();
        return expect("other_previous_block", &others, &counted);
    }
    let count_only = |mut counts: Vec<usize>| {
        counts.sort_unstable();
        counts
    };
    let got = count_only(election.other_previous_block.iter().map(|(_, count)| *count).collect());
    expect("counts of other previous blocks", &got, &count_only(counted.iter().map(|(_, count)| *count).collect()))
}

fn texts(values: &[Value<'_>]) -> Result<Vec<String>, String> {
    values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(|| "a key is no text".to_owned())).collect()
}
