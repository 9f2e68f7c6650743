//! Loss of power: one run of a random script is recorded, then cut off at every write and sync, with everything that a
//! disk may have kept of what was not synced. What was confirmed must be there, and nothing may be there by halves.
//!
//! `BIGCHAINDB_CRASH_POINTS` (default 1,000) is the least number of cuts; `BIGCHAINDB_CRASH_SEED` replays a run
//! (with `BIGCHAINDB_CRASH_POINTS=1` only the first script of it).
#![allow(clippy::unwrap_used)] // A test may panic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigchaindb::store::database::Database;
use bigchaindb::store::embedded::index::Index;
use bigchaindb::store::embedded::index::memory::MemoryIndex;
use bigchaindb::store::embedded::indexer::Pace;
use bigchaindb::store::embedded::io::Io;
use bigchaindb::store::embedded::{EmbeddedStore, Options, Parts};
use bigchaindb::store::{Amount, Result, Store, StoreError};
use ledger::election::BlockStatus;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

#[path = "store_power_loss/disk.rs"]
mod disk;
#[path = "store_power_loss/script.rs"]
mod script;
#[path = "store_conformance/world.rs"]
#[allow(dead_code)] // Shared with the conformance suite, which uses all of it.
mod world;

use disk::{Disk, Event, Fault, Image, Survival, image_after};
use script::{Pool, Script};
use world::{difference, picture};

/// Steps of the first script; each has some hundred points to cut it at.
const STEPS: usize = 5;

/// Steps of the following ones.
const MORE_STEPS: usize = 50;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Small segments and an eager index, so that few records cross all borders.
fn options() -> Options {
    let pace = Pace { batch: Amount { transactions: 1, bytes: 1 }, ..Pace::default() };
    Options { segment_bytes: 6000, pace, memtable_bytes: 2000 }
}

/// Opens a store on a disk with an index that was left behind, or none.
fn open(disk: &Disk, boot: &str, left: Option<&MemoryIndex>) -> Result<EmbeddedStore> {
    let io: Arc<dyn Io> = Arc::new(disk.clone());
    let make = |fresh: bool| -> Result<Arc<dyn Index>> {
        Ok(Arc::new(left.filter(|_| !fresh).map_or_else(MemoryIndex::default, MemoryIndex::snapshot)))
    };
    let parts = Parts { io, boot: boot.to_owned(), open_index: make, search: None, lock: None };
    EmbeddedStore::start(parts, &options())
}

fn log_bytes(image: &Image) -> Vec<u8> {
    image.iter().filter(|(name, _)| name.ends_with(".log")).flat_map(|(_, bytes)| bytes).copied().collect()
}

/// A whole run of a script, and everything needed to judge what is left of it at any point.
struct Recorded {
    script: Script,
    events: Vec<Event>,
    /// After each confirmed step: length of the log, the index as it was.
    confirmed: Vec<(usize, MemoryIndex)>,
    log: Vec<u8>,
    last_picture: String,
    /// What a store answers whose log ends there.
    pictures: HashMap<usize, String>,
}

impl Recorded {
    async fn new(script: Script) -> Self {
        let (disk, index) = (Disk::default(), Arc::new(MemoryIndex::default()));
        let kept = index.clone();
        let make = move |_| -> Result<Arc<dyn Index>> { Ok(kept.clone()) };
        let store = {
            let io = Arc::new(disk.clone());
            let parts = Parts { io, boot: "boot".to_owned(), open_index: make, search: None, lock: None };
            EmbeddedStore::start(parts, &options()).unwrap()
        };
        disk.confirm(0);
        let mut confirmed = vec![(0, index.snapshot())];
        let mut pictures = HashMap::new();
        for n in 0..script.len() {
            assert!(script.make(n, &store).await);
            disk.confirm(n + 1);
            let length = log_bytes(&disk.files()).len();
            confirmed.push((length, index.snapshot()));
            pictures.insert(length, picture(&store, &script.written).await);
        }
        let last_picture = picture(&store, &script.written).await;
        drop(store);
        let log = log_bytes(&disk.files());
        Self { events: disk.events(), script, confirmed, log, last_picture, pictures }
    }

    fn confirmed_at(&self, event: usize) -> usize {
        let confirmed = self.events[..event].iter().rev().find_map(|event| match event {
            Event::Confirmed(steps) => Some(*steps),
            _ => None,
        });
        confirmed.unwrap_or(0)
    }

    /// What a store must answer whose log ends at a length. At the ends of steps it was recorded from the running
    /// store; between them (a step of several records) it is had by replay.
    async fn picture_at(&mut self, length: usize) -> String {
        if let Some(picture) = self.pictures.get(&length) {
            return picture.clone();
        }
        let mut files = Image::new();
        files.insert(format!("{:016x}.log", 0), self.log[..length].to_vec());
        let store = open(&Disk::with(files), "other boot", None).unwrap();
        let picture = picture(&store, &self.script.written).await;
        drop(store);
        self.pictures.insert(length, picture.clone());
        picture
    }

    /// Opens what is left on a disk and judges it. `steps` were confirmed.
    async fn judge(&mut self, disk: &Disk, steps: usize, boot: &str, what: &str) -> EmbeddedStore {
        let left = self.confirmed[steps].1.snapshot();
        let store = open(disk, boot, Some(&left)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let log = log_bytes(&disk.files());
        assert!(log.len() >= self.confirmed[steps].0, "{what}: confirmed records are gone");
        assert!(self.log.starts_with(&log), "{what}: the log is not a beginning of what was written");
        let found = picture(&store, &self.script.written).await;
        let expected = self.picture_at(log.len()).await;
        let difference = difference(&expected, &found);
        assert!(
            difference.is_empty(),
            "{what}: after {steps} steps
{difference}"
        );
        store
    }
}

/// All ways in which the power may go right after an event.
fn survivals(event: &Event, seed: u64) -> Vec<Survival> {
    let mut all = vec![Survival::Nothing, Survival::Everything];
    if let Event::Write(_, _, data) = event {
        let length = data.len();
        all.extend([0, 1, 7, 8, 9, 25, length / 2, length - 1].map(Survival::Torn));
        all.extend((0..3).map(|n| Survival::Sectors(seed + n)));
    }
    all
}

#[test]
fn nothing_confirmed_is_lost_when_the_power_goes() {
    world::run(cut_everywhere());
}

async fn cut_everywhere() {
    let wanted: usize = setting("BIGCHAINDB_CRASH_POINTS").unwrap_or(1000);
    let mut seed: u64 = setting("BIGCHAINDB_CRASH_SEED").unwrap_or_else(rand::random);
    let pool = Pool::new();
    let (mut points, mut steps) = (0, STEPS);
    while points < wanted {
        eprintln!("power loss: BIGCHAINDB_CRASH_SEED={seed}, {points} points so far");
        points += all_points(seed, steps, &pool).await;
        seed = seed.wrapping_add(1);
        steps = if wanted > 1000 { MORE_STEPS } else { STEPS };
    }
    eprintln!("power loss: {points} points");
}

async fn all_points(seed: u64, steps: usize, pool: &Pool) -> usize {
    let mut recorded = Recorded::new(Script::new(seed, steps, pool)).await;
    let mut points = 0;
    for cut in 1..=recorded.events.len() {
        let steps = recorded.confirmed_at(cut);
        let last = recorded.events[cut - 1].clone();
        if let Event::Confirmed(_) = last {
            continue;
        }
        for survival in survivals(&last, seed) {
            let image = image_after(&Image::new(), &recorded.events[..cut], survival);
            let what = format!("seed {seed}, event {cut}, {survival:?}");
            // After a killed process the page cache and the index are as they were; after a loss of power the index
            // counts for nothing.
            let boot = if matches!(survival, Survival::Everything) { "boot" } else { "other boot" };
            let disk = Disk::with(image.clone());
            let store = recorded.judge(&disk, steps, boot, &what).await;
            points += 1;
            if points % 16 == 0 {
                finish_the_script(&recorded, &store, steps, &what).await;
            }
            drop(store);
            if points % 16 == 8 {
                points += cut_while_recovering(&mut recorded, &image, steps, &what).await;
            }
        }
    }
    points
}

/// Every write may be repeated: with the rest of the script the ledger becomes what it would have been.
async fn finish_the_script(recorded: &Recorded, store: &EmbeddedStore, steps: usize, what: &str) {
    for n in steps..recorded.script.len() {
        assert!(recorded.script.make(n, store).await, "{what}: step {n} is refused");
    }
    let end = picture(store, &recorded.script.written).await;
    let difference = difference(&recorded.last_picture, &end);
    assert!(
        difference.is_empty(),
        "{what}: finished after step {steps}
{difference}"
    );
}

/// The power goes again while the store is being opened.
async fn cut_while_recovering(recorded: &mut Recorded, image: &Image, steps: usize, what: &str) -> usize {
    let disk = Disk::with(image.clone());
    drop(open(&disk, "second boot", None).unwrap());
    let events = disk.events();
    let mut points = 0;
    for cut in 1..=events.len() {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Torn(3)] {
            let disk = Disk::with(image_after(image, &events[..cut], survival));
            let what = format!("{what}, then event {cut}, {survival:?}");
            drop(recorded.judge(&disk, steps, "third boot", &what).await);
            points += 1;
        }
    }
    points
}

#[test]
fn a_failed_write_or_sync_ends_the_store_and_loses_nothing() {
    world::run(fail_everywhere());
}

async fn fail_everywhere() {
    let seed: u64 = setting("BIGCHAINDB_CRASH_SEED").unwrap_or_else(rand::random);
    eprintln!("failing disk: BIGCHAINDB_CRASH_SEED={seed}");
    let pool = Pool::new();
    let mut recorded = Recorded::new(Script::new(seed, STEPS, &pool).one_by_one()).await;
    let mut met = 0;
    for (at, event) in recorded.events.clone().iter().enumerate() {
        let fault = match event {
            Event::Write(name, _, data) if name.ends_with(".log") => Fault::Full(at * 37 % data.len()),
            Event::Sync(name) if name.ends_with(".log") => Fault::Sync,
            _ => continue,
        };
        let disk = Disk::default();
        disk.fail(at, fault);
        let store = open(&disk, "boot", None).unwrap();
        disk.confirm(0);
        let mut steps = 0;
        while recorded.script.make(steps, &store).await {
            steps += 1;
            disk.confirm(steps);
        }
        assert!(disk.has_failed(), "{fault:?} at event {at} of {event:?} did not come");
        assert!(matches!(store.failed().await, StoreError::Unwritable(_)));
        let refused = store.delete_backlog(&[]).await;
        assert!(matches!(refused, Err(StoreError::Unwritable(_))), "{refused:?}");
        assert!(matches!(store.close().await, Err(StoreError::Unwritable(_))));
        drop(store);
        met += 1;
        for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors(seed)] {
            let left = Disk::with(image_after(&Image::new(), &disk.events(), survival));
            let what = format!("seed {seed}, {fault:?} at event {at}, {survival:?}");
            drop(recorded.judge(&left, steps, "other boot", &what).await);
        }
    }
    assert!(met > STEPS);
}

#[test]
fn a_mark_that_cannot_be_written_leaves_the_one_before() {
    world::run(fail_the_mark());
}

/// `STATE` is written when a store is opened and when it is closed.
async fn fail_the_mark() {
    let seed: u64 = setting("BIGCHAINDB_CRASH_SEED").unwrap_or_else(rand::random);
    eprintln!("failing mark: BIGCHAINDB_CRASH_SEED={seed}");
    let mut recorded = Recorded::new(Script::new(seed, STEPS, &Pool::new()).one_by_one()).await;
    let all = recorded.script.len();
    let whole = Disk::default();
    let store = open(&whole, "boot", None).unwrap();
    for n in 0..all {
        assert!(recorded.script.make(n, &store).await);
    }
    store.close().await.unwrap();
    let events = whole.events();
    let (mut at_start, mut at_end) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        let fault = match event {
            Event::Write(name, _, data) if name == "STATE.new" => Fault::Full(data.len() / 2),
            Event::Sync(name) if name == "STATE.new" => Fault::Sync,
            Event::Rename(..) => Fault::Rename,
            _ => continue,
        };
        let disk = Disk::default();
        disk.fail(at, fault);
        let what = format!("seed {seed}, {fault:?} at event {at}");
        let (error, steps) = match open(&disk, "boot", None) {
            Err(error) => (error, 0),
            Ok(store) => {
                for n in 0..all {
                    assert!(recorded.script.make(n, &store).await, "{what}: step {n}");
                }
                (store.close().await.expect_err(&what), all)
            }
        };
        assert!(matches!(error, StoreError::Unwritable(_)) && error.to_string().contains("`log/STATE`"), "{error}");
        *(if steps == 0 { &mut at_start } else { &mut at_end }) += 1;
        let before = image_after(&Image::new(), &events[..at], Survival::Everything);
        assert_eq!(disk.files().get("STATE"), before.get("STATE"), "{what}");
        assert!(before.get("STATE").is_none_or(|line| line.ends_with(b"\n")), "{what}: the mark is half there");
        for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors(seed)] {
            let left = Disk::with(image_after(&Image::new(), &disk.events(), survival));
            let boot = if matches!(survival, Survival::Everything) { "boot" } else { "other boot" };
            drop(recorded.judge(&left, steps, boot, &format!("{what}, {survival:?}")).await);
        }
    }
    assert_eq!((at_start, at_end), (6, 3));
}

#[test]
fn a_damaged_index_costs_time_and_nothing_else() {
    world::run(damage_directory("index", 30));
}

#[test]
fn a_damaged_text_index_costs_time_and_nothing_else() {
    world::run(damage_directory("search", 30));
}

/// Rounds with a real index on a real file system: it is deleted, truncated, or has bytes turned over, while the
/// process was killed (its files count) or the system went down (they do not).
async fn damage_directory(name: &str, rounds: u64) {
    let seed: u64 = setting("BIGCHAINDB_CRASH_SEED").unwrap_or_else(rand::random);
    eprintln!("damaged {name}: BIGCHAINDB_CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let pool = Pool::new();
    let mut rebuilt = 0;
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let script = Script::new(seed.wrapping_add(round), 20, &pool);
        let mut expected = String::new();
        for n in 0..script.len() {
            if n % 7 == 0 {
                // So that there is more than a journal.
                let store = EmbeddedStore::open(directory.path(), options()).unwrap();
                store.close().await.unwrap();
            }
            let store = EmbeddedStore::open(directory.path(), options()).unwrap();
            assert!(script.make(n, &store).await);
            if n + 1 == script.len() {
                expected = picture_if_undamaged(&store, &script).await.unwrap();
            }
        }
        let damage = damage(&directory.path().join(name), &mut random);
        if random.random_bool(0.3) {
            std::fs::write(directory.path().join("log/STATE"), "open 0 another-boot\n").unwrap();
        }
        let what = format!("seed {seed}, round {round}, {damage}");
        let mut found = None;
        for _ in 0..2 {
            let store = EmbeddedStore::open(directory.path(), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
            match picture_if_undamaged(&store, &script).await {
                Some(picture) => {
                    found = Some(picture);
                    break;
                }
                None => rebuilt += 1,
            }
            let _ = store.close().await;
        }
        let difference = difference(&expected, &found.unwrap_or_else(|| panic!("{what}: damaged after a rebuild")));
        assert!(difference.is_empty(), "{what}\n{difference}");
    }
    eprintln!("damaged {name}: {rebuilt} times it was noticed while running");
}

/// `None`: a look-up met the damage.
async fn picture_if_undamaged(store: &EmbeddedStore, script: &Script) -> Option<String> {
    let ids: Vec<_> = script.written.transactions.iter().map(|tx| tx.id()).collect();
    for block in &script.written.blocks {
        store.block(block).await.ok()?;
    }
    store.locate(&ids).await.ok()?;
    store.votes(&script.written.blocks).await.ok()?;
    for (word, id) in script.words() {
        let located = store.locate(&[id]).await.ok()?.remove(0);
        let is_valid = located.is_some_and(|tx| tx.blocks.iter().any(|block| block.status == BlockStatus::Valid));
        // A search waits for the index only so long.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found: Vec<_> = store.search_assets(&word, 0).await.ok()?.iter().map(|asset| asset.id).collect();
            if found == Vec::from_iter(is_valid.then_some(id)) {
                break;
            }
            assert!(Instant::now() < deadline, "{id} (valid: {is_valid}) by its text: {found:?}");
        }
    }
    Some(picture(store, &script.written).await)
}

fn damage(index: &Path, random: &mut StdRng) -> String {
    let mut files = Vec::new();
    let mut folders = vec![index.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let victim = files.choose(random).unwrap().clone();
    let name = victim.strip_prefix(index).unwrap().display().to_string();
    let mut bytes = std::fs::read(&victim).unwrap();
    match random.random_range(0..5) {
        0 => {
            std::fs::remove_dir_all(index).unwrap();
            "all of it deleted".to_owned()
        }
        1 => {
            std::fs::remove_file(&victim).unwrap();
            format!("{name} deleted")
        }
        2 => {
            let length = random.random_range(0..=bytes.len());
            std::fs::write(&victim, &bytes[..length]).unwrap();
            format!("{name} cut to {length} of {} bytes", bytes.len())
        }
        3 => {
            let at = random.random_range(0..=bytes.len());
            bytes[at..].fill(0);
            std::fs::write(&victim, &bytes).unwrap();
            format!("{name} zeroed from byte {at} of {}", bytes.len())
        }
        _ => {
            let Some(at) = (!bytes.is_empty()).then(|| random.random_range(0..bytes.len())) else {
                return "nothing".to_owned();
            };
            bytes[at] ^= 1 << random.random_range(0..8);
            std::fs::write(&victim, &bytes).unwrap();
            format!("{name}: a bit of byte {at} of {} turned over", bytes.len())
        }
    }
}
