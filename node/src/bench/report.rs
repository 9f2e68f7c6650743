//! The figures, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::counters::Counters;
use super::load::{Memory, NEVER, Outcome};
use super::{CpuTimes, Options};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Transactions that were to be posted.
    pub count: usize,
    connections: usize,
    nodes: usize,
    rate: Option<f64>,
    accepted: usize,
    valid: usize,
    /// Seconds from the first POST to the last 202, and to the last valid.
    accepted_seconds: f64,
    valid_seconds: f64,
    to_accepted: Quantiles,
    to_valid: Quantiles,
    reads: Quantiles,
    failed_reads: u64,
    resent: u64,
    refused: Vec<(u16, usize)>,
    broken: Vec<String>,
    /// Valid transactions a second in each tenth of the run's transactions, in the order they became valid.
    tenths: Vec<f64>,
    idle: Memory,
    peak: Memory,
    node_cpu_us: Option<f64>,
    server_cpu_us: Option<f64>,
    generator_cpu_us: Option<f64>,
    /// Part of the machine that neither the nodes, their database server nor the load generator used, but somebody else:
    /// 0 to 1.
    others: Option<f64>,
    counters: Option<Counters>,
    floor_us: f64,
    cores: usize,
    /// What can be told of a node of our own only.
    pub afterwards: Option<Afterwards>,
}

/// What was measured around the load.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How many nodes there were.
    pub nodes: usize,
    /// See [`super::floor`].
    pub floor_us: f64,
    /// Before it.
    pub idle: Memory,
    /// Before and after it.
    pub cpu: Option<(CpuTimes, CpuTimes)>,
    /// What the nodes counted meanwhile.
    pub counters: Option<Counters>,
}

/// The first node once more, with everything stored.
#[derive(Clone, Debug)]
pub struct Afterwards {
    /// From the start of the process until it listens.
    pub start_seconds: f64,
    /// Resident memory then, bytes.
    pub memory: Option<u64>,
    /// Bytes of all files of the node or of its database server.
    pub stored: Option<u64>,
    /// The kind of file system they are on.
    pub stored_on: Option<String>,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Quantiles {
    count: usize,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Quantiles {
    /// Of times in microseconds.
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        // The smallest time that at least this share of all times does not exceed.
        let at = |permille: usize| {
            let rank = (times.len() * permille).div_ceil(1000).max(1) - 1;
            times.get(rank).map_or(0.0, |us| seconds(*us) * 1e3)
        };
        Self { count: times.len(), p50: at(500), p95: at(950), p99: at(990), max: at(1000) }
    }

    fn json(&self) -> Value {
        let round = |ms: f64| (ms * 1e3).round() / 1e3;
        json!({"count": self.count, "p50": round(self.p50), "p95": round(self.p95), "p99": round(self.p99),
            "max": round(self.max)})
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p95, p99, max, .. } = self;
        write!(f, "p50 {p50:8.2}   p95 {p95:8.2}   p99 {p99:8.2}   max {max:8.2} ms")
    }
}

/// See [`tenths`].
const SHORT_RUN: usize = 50_000;

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

#[expect(clippy::cast_precision_loss)] // Counts of transactions, far below 2^52.
const fn float(count: usize) -> f64 {
    count as f64
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { float(count) / seconds } else { 0.0 }
}

impl Report {
    /// Sums up.
    pub fn new(options: &Options, outcome: Outcome, measured: Measured) -> Self {
        let Measured { nodes, floor_us, idle, cpu, counters } = measured;
        let first = outcome.posted.iter().copied().min().unwrap_or(0);
        let came = |times: &[u64]| times.iter().copied().filter(|time| *time != NEVER).collect::<Vec<u64>>();
        let (accepted, mut valid) = (came(&outcome.accepted), came(&outcome.valid));
        valid.sort_unstable();
        let since_first = |last: Option<&u64>| last.map_or(0.0, |last| seconds(last.saturating_sub(first)));
        let took = |ends: &[u64]| {
            let both = outcome.posted.iter().zip(ends).filter(|(_, end)| **end != NEVER);
            Quantiles::of(both.map(|(posted, end)| end.saturating_sub(*posted)).collect())
        };
        let done = float(accepted.len().max(1));
        let per_transaction = |time: fn(&CpuTimes) -> Option<Duration>| {
            let (before, after) = cpu.as_ref()?;
            Some(time(after)?.saturating_sub(time(before)?).as_secs_f64() * 1e6 / done)
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            count: options.count,
            connections: options.connections.max(nodes),
            nodes,
            rate: options.rate,
            accepted: accepted.len(),
            valid: valid.len(),
            accepted_seconds: since_first(accepted.iter().max()),
            valid_seconds: since_first(valid.last()),
            to_accepted: took(&outcome.accepted),
            to_valid: took(&outcome.valid),
            tenths: tenths(first, &valid),
            reads: Quantiles::of(outcome.reads),
            failed_reads: outcome.failed_reads,
            resent: outcome.resent,
            refused: outcome.refused,
            broken: outcome.broken,
            idle,
            peak: outcome.peak,
            node_cpu_us: per_transaction(|times| times.nodes),
            server_cpu_us: per_transaction(|times| times.server),
            generator_cpu_us: per_transaction(|times| Some(times.generator)),
            floor_us,
            others: cpu.and_then(|(before, after)| others(&before, &after, cores)),
            cores,
            counters,
            afterwards: None,
        }
    }

    /// Whether everything that was to be posted became valid.
    pub fn complete(&self) -> bool {
        self.valid == self.count
    }

    /// Time of all cores for each valid transaction, in multiples of the floor. `None` where a pace was given: the rest of
    /// the time nobody worked.
    fn times_floor(&self) -> Option<f64> {
        let valid_rate = rate(self.valid, self.valid_seconds);
        (self.rate.is_none() && valid_rate > 0.0).then(|| float(self.cores) * 1e6 / valid_rate / self.floor_us)
    }

    fn write_counters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Counters { blocks, votes, commands }) = &self.counters else { return Ok(()) };
        writeln!(f, "blocks         {blocks}, votes of these nodes {votes}")?;
        let for_block = self.commands_for(|counters, _| counters.blocks);
        let for_transaction = self.commands_for(|_, valid| valid);
        if let Some((for_block, for_transaction)) = for_block.zip(for_transaction) {
            writeln!(
                f,
                "commands       {for_block:.1} to the database for a block, {for_transaction:.3} for a transaction"
            )?;
        }
        if commands.len() > 1 {
            let names: Vec<String> = commands.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "  by name      {}", names.join(", "))?;
        }
        Ok(())
    }

    /// Commands sent to a database server, for each of something. `None`: there were none, or they are not known.
    fn commands_for(&self, each: fn(&Counters, u64) -> u64) -> Option<f64> {
        let counters = self.counters.as_ref().filter(|counters| counters.sent() > 0)?;
        let each = each(counters, self.valid as u64);
        #[expect(clippy::cast_precision_loss)] // Far below 2^52.
        let share = counters.sent() as f64 / each.max(1) as f64;
        Some((share * 1e3).round() / 1e3)
    }

    /// For programs. Times in milliseconds unless the name says otherwise, memory in bytes.
    pub fn json(&self) -> Value {
        let round = |number: f64| (number * 10.0).round() / 10.0;
        json!({
            "count": self.count,
            "connections": self.connections,
            "nodes": self.nodes,
            "rate": self.rate,
            "accepted": self.accepted,
            "valid": self.valid,
            "accepted_per_second": round(rate(self.accepted, self.accepted_seconds)),
            "valid_per_second": round(rate(self.valid, self.valid_seconds)),
            "valid_per_second_by_tenth": self.tenths.iter().map(|r| round(*r)).collect::<Vec<_>>(),
            "seconds": self.valid_seconds,
            "post_to_accepted_ms": self.to_accepted.json(),
            "post_to_valid_ms": self.to_valid.json(),
            "get_by_id_ms": self.reads.json(),
            "failed_reads": self.failed_reads,
            "resent_after_503": self.resent,
            "refused": self.refused.len(),
            "broken": self.broken,
            "memory_idle": self.idle.nodes,
            "memory_peak": self.peak.nodes,
            "server_memory_idle": self.idle.server,
            "server_memory_peak": self.peak.server,
            "node_cpu_us_per_transaction": self.node_cpu_us.map(round),
            "server_cpu_us_per_transaction": self.server_cpu_us.map(round),
            "generator_cpu_us_per_transaction": self.generator_cpu_us.map(round),
            "floor_us": round(self.floor_us),
            "cores": self.cores,
            "times_floor": self.times_floor().map(|times| (times * 100.0).round() / 100.0),
            "other_processes_share": self.others.map(|share| (share * 1e3).round() / 1e3),
            "restart_seconds": self.afterwards.as_ref().map(|after| (after.start_seconds * 1e3).round() / 1e3),
            "memory_after_restart": self.afterwards.as_ref().and_then(|after| after.memory),
            "stored_bytes": self.afterwards.as_ref().and_then(|after| after.stored),
            "stored_on": self.afterwards.as_ref().and_then(|after| after.stored_on.clone()),
            "blocks": self.counters.as_ref().map(|counters| counters.blocks),
            "votes": self.counters.as_ref().map(|counters| counters.votes),
            "commands": self.counters.as_ref().map(|counters| &counters.commands),
            "commands_per_block": self.commands_for(|counters, _| counters.blocks),
            "commands_per_transaction": self.commands_for(|_, valid| valid),
        })
    }
}

/// The part of the machine from which on others are mentioned.
const NOTABLE: f64 = 0.05;

fn others(before: &CpuTimes, after: &CpuTimes, cores: usize) -> Option<f64> {
    let used = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64();
    let machine = used(before.machine?, after.machine?);
    let server = used(before.server.unwrap_or_default(), after.server.unwrap_or_default());
    let ours = used(before.nodes?, after.nodes?) + server + used(before.generator, after.generator);
    let all = after.at.duration_since(before.at).as_secs_f64() * float(cores);
    (all > 0.0).then(|| ((machine - ours) / all).clamp(0.0, 1.0))
}

/// Rates over equal numbers of transactions: a cost that grows with what is stored shows here. None for short runs: a
/// tenth must be many blocks, whose transactions all become valid at once.
fn tenths(first: u64, valid: &[u64]) -> Vec<f64> {
    if valid.len() < SHORT_RUN {
        return Vec::new();
    }
    let mut from = first;
    let size = (valid.len() / 10).max(1);
    valid
        .chunks_exact(size)
        .take(10)
        .map(|part| {
            let to = part.last().copied().unwrap_or(from);
            let tenth = rate(part.len(), seconds(to.saturating_sub(from)));
            from = to;
            tenth
        })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self.rate.map_or_else(|| "as fast as possible".to_owned(), |rate| format!("{rate} a second"));
        let nodes = if self.nodes > 1 { format!(" to {} nodes", self.nodes) } else { String::new() };
        writeln!(f, "{} CREATEs{nodes} over {} connections, {pace}", self.count, self.connections)?;
        let (accepted, valid) = (rate(self.accepted, self.accepted_seconds), rate(self.valid, self.valid_seconds));
        writeln!(f, "accepted       {accepted:10.0} /s   {} in {:.2} s", self.accepted, self.accepted_seconds)?;
        let valid_at = if self.nodes > 1 { ", each at the node it was sent to" } else { "" };
        writeln!(f, "valid          {valid:10.0} /s   {} in {:.2} s{valid_at}", self.valid, self.valid_seconds)?;
        if !self.tenths.is_empty() {
            let tenths: Vec<String> = self.tenths.iter().map(|rate| format!("{rate:.0}")).collect();
            writeln!(f, "  by tenth     {}", tenths.join(" "))?;
        }
        writeln!(f, "POST to 202    {}", self.to_accepted)?;
        writeln!(f, "POST to valid  {}", self.to_valid)?;
        if self.reads.count > 0 {
            writeln!(f, "GET by id      {}   ({} readings under load)", self.reads, self.reads.count)?;
        }
        let megabytes =
            |bytes: Option<u64>| bytes.map_or_else(|| "not measured".to_owned(), |bytes| format!("{} MB", bytes >> 20));
        let together = if self.nodes > 1 { ", all nodes together" } else { "" };
        writeln!(
            f,
            "memory         idle {}, peak {}{together}",
            megabytes(self.idle.nodes),
            megabytes(self.peak.nodes)
        )?;
        if self.peak.server.is_some() {
            let (idle, peak) = (megabytes(self.idle.server), megabytes(self.peak.server));
            writeln!(f, "               database server: idle {idle}, peak {peak}")?;
        }
        let microseconds =
            |time: Option<f64>| time.map_or_else(|| "not measured".to_owned(), |us| format!("{us:.1} µs"));
        let (node, generator) = (microseconds(self.node_cpu_us), microseconds(self.generator_cpu_us));
        let server = self.server_cpu_us.map_or_else(String::new, |us| format!("database server {us:.1} µs, "));
        writeln!(f, "processor      node {node} a transaction, {server}load generator {generator}")?;
        self.write_counters(f)?;
        if let Some(Afterwards { start_seconds, memory, stored, stored_on }) = &self.afterwards {
            if let Some(stored) = stored {
                writeln!(f, "stored         {} MB on {}", stored >> 20, stored_on.as_deref().unwrap_or_default())?;
            }
            writeln!(f, "started again  in {start_seconds:.3} s, {} then", megabytes(*memory))?;
        }
        writeln!(
            f,
            "floor          {:.1} µs a transaction and core (parse, canonical bytes, hash, one verification)",
            self.floor_us
        )?;
        match self.times_floor() {
            Some(times) => write!(f, "               {} cores: {times:.1} times the floor", self.cores)?,
            None => write!(f, "               {} cores", self.cores)?,
        }
        if let Some(others) = self.others.filter(|share| *share > NOTABLE) {
            write!(
                f,
                "\nOther processes took {:.0} % of this machine meanwhile: measure again without them.",
                others * 100.0
            )?;
        }
        if self.resent > 0 {
            write!(f, "\nsent again after 503: {}", self.resent)?;
        }
        if self.failed_reads > 0 {
            write!(f, "\nreadings that failed: {}", self.failed_reads)?;
        }
        for (status, number) in self.refused.iter().take(3) {
            write!(f, "\nrefused: transaction {number} with status {status}")?;
        }
        for text in &self.broken {
            write!(f, "\nbroken: {text}")?;
        }
        if !self.complete() {
            write!(f, "\nNOT ALL BECAME VALID: {} of {} did not", self.count - self.valid.min(self.count), self.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_times_that_came() {
        let quantiles = Quantiles::of((1..=1000).rev().map(|ms| ms * 1000).collect());
        assert_eq!(quantiles, Quantiles { count: 1000, p50: 500.0, p95: 950.0, p99: 990.0, max: 1000.0 });
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
        assert_eq!(Quantiles::of(vec![7000]).p50, 7.0);
    }

    #[test]
    fn a_cost_that_grows_shows_in_the_tenths() {
        // One transaction a millisecond, from the half on one every two.
        let (half, size) = (25_000, SHORT_RUN);
        let valid: Vec<u64> = (1..=half).map(|n| n * 1000).chain((1..=half).map(|n| (half + n * 2) * 1000)).collect();
        assert_eq!(valid.len(), size);
        let tenths = tenths(0, &valid);
        assert_eq!(tenths.len(), 10);
        assert!((tenths[0] - 1000.0).abs() < 1.0 && (tenths[9] - 500.0).abs() < 1.0, "{tenths:?}");
    }
}
