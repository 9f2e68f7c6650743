//! The embedded store's directory: its lock, its version, and what becomes of it when files are wrong.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigchaindb::store::database::Database;
use bigchaindb::store::embedded::backup::{backup, drop_ledger, restore};
use bigchaindb::store::embedded::index::Index;
use bigchaindb::store::embedded::index::memory::MemoryIndex;
use bigchaindb::store::embedded::log::{Entry, Log};
use bigchaindb::store::embedded::record::Record;
use bigchaindb::store::embedded::{EmbeddedStore, Options, Parts, io};
use bigchaindb::store::{Store, StoreError};

#[path = "store_conformance/world.rs"]
#[allow(dead_code)] // Shared with the conformance suite, which uses all of it.
mod world;

use world::{block, create, entry, initialise, taken};

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(path, Options { segment_bytes: 4096, ..Options::default() })
}

/// As if its index were gone: the whole log is read.
fn open_without_index(path: &Path) -> Result<EmbeddedStore, StoreError> {
    let directory = Arc::new(io::Directory::open(&path.join("log")).unwrap());
    let make = |_| -> Result<Arc<dyn Index>, StoreError> { Ok(Arc::new(MemoryIndex::default())) };
    let parts = Parts { io: directory, boot: String::new(), open_index: make, search: None, lock: None };
    EmbeddedStore::start(parts, &Options::default())
}

/// A store with some segments and blocks, closed.
async fn filled(path: &Path) {
    let store = open(path).unwrap();
    initialise(&store).await;
    for n in 0..10 {
        let tx = create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"));
        store.write_backlog(vec![entry(&tx, 1, 1)]).await.unwrap();
        let made = block(&[&tx], n);
        store.write_block(made.clone(), &taken()).await.unwrap();
        store.decide(&made.id, true, Vec::new()).await.unwrap();
    }
    store.close().await.unwrap();
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = names.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    segments.sort();
    segments
}

fn entries(path: &Path) -> Vec<Entry> {
    let directory = Arc::new(io::Directory::existing(&path.join("log")).unwrap());
    let mut entries = Vec::new();
    let scanned = Log::open(directory, 4096).unwrap().scan(0, |entry| {
        entries.push(entry);
        Ok(true)
    });
    scanned.unwrap();
    entries
}

#[test]
fn a_second_process_is_refused_with_the_directory_s_name() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let Err(StoreError::Unavailable(text)) = open(directory.path()) else { panic!("opened twice") };
    assert!(text.contains(&*directory.path().to_string_lossy()), "{text}");
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn a_newer_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let format = directory.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&format).unwrap(), "bigchaindb store 1\n");
    fs::write(&format, "bigchaindb store 2\n").unwrap();
    let Err(StoreError::Damaged(text)) = open(directory.path()) else { panic!("opened a newer layout") };
    assert!(text.contains("newer version (layout 2, this one knows 1)"), "{text}");
    fs::write(&format, "something else").unwrap();
    assert!(matches!(open(directory.path()), Err(StoreError::Damaged(_))));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(StoreError::Unwritable(text)) = open(&file.join("store")) else { panic!("opened below a file") };
    assert!(text.contains(&*file.to_string_lossy()), "{text}");
}

/// On this thread permissions count, even if the tests are run by root.
fn as_anybody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.effective = rustix::thread::CapabilitySet::empty();
            rustix::thread::set_capabilities(None, sets).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_in_words_and_stays_as_it_is() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        let (new, old) = (directory.path().join("new"), directory.path().join("old"));
        fs::create_dir(&new).unwrap();
        filled(&old).await;
        let expected = picture(&old).await;
        let (log, index) = (old.join("log"), old.join("index"));
        for (store, closed, mode) in [(&new, &new, 0o500), (&old, &log, 0o500), (&old, &index, 0)] {
            let permissions = |mode| fs::set_permissions(closed, fs::Permissions::from_mode(mode)).unwrap();
            permissions(mode);
            let opened = as_anybody(|| open(store).err());
            permissions(0o700);
            let Some(StoreError::Unwritable(text)) = opened else { panic!("{}: {opened:?}", closed.display()) };
            assert!(text.contains("make the directory writable for this user and start again"), "{text}");
            let name = closed.file_name().unwrap().to_str().unwrap();
            assert!(text.contains(name), "{name}: {text}");
        }
        assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
        assert_eq!(picture(&old).await, expected);
    });
}

#[test]
fn what_was_torn_at_the_end_is_cut_off() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let before = entries(directory.path());
        let last = segments(directory.path()).pop().unwrap();
        let mut bytes = fs::read(&last).unwrap();
        let length = bytes.len();
        bytes.extend_from_slice(&[7; 100]);
        fs::write(&last, &bytes).unwrap();
        drop(open(directory.path()).unwrap());
        assert_eq!(fs::read(&last).unwrap().len(), length);
        assert_eq!(entries(directory.path()).len(), before.len());
    });
}

/// Every record but the last batch's was synced before a later one was written: none of them may be cut off silently.
#[test]
fn damage_to_what_was_synced_is_reported_with_its_position() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let before = entries(directory.path());
        let synced = before.iter().filter_map(|entry| match entry.record().unwrap() {
            Record::Synced(position) => Some(position),
            _ => None,
        });
        let synced = synced.max().unwrap();
        assert!(before.iter().filter(|entry| entry.position < synced).count() > 20);
        for damaged in before.iter().filter(|entry| entry.position < synced) {
            let segment = segments(directory.path()).into_iter().rfind(|path| base(path) <= damaged.position).unwrap();
            let whole = fs::read(&segment).unwrap();
            let mut bytes = whole.clone();
            bytes[(damaged.next - 1 - base(&segment)) as usize] ^= 1;
            fs::write(&segment, &bytes).unwrap();
            let Err(StoreError::Damaged(text)) = open_without_index(directory.path()) else {
                panic!("opened with damage at {}", damaged.position)
            };
            assert!(text.contains(&format!("position {}", damaged.position)), "{text}");
            assert_eq!(fs::read(&segment).unwrap(), bytes, "nothing is changed");
            fs::write(&segment, &whole).unwrap();
        }
        drop(open(directory.path()).unwrap());
    });
}

#[test]
fn a_missing_segment_is_reported() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let all = segments(directory.path());
        assert!(all.len() >= 3);
        for missing in [&all[1], &all[all.len() - 1]] {
            let bytes = fs::read(missing).unwrap();
            fs::remove_file(missing).unwrap();
            for _ in 0..2 {
                assert!(matches!(open(directory.path()), Err(StoreError::Damaged(_))), "{}", missing.display());
            }
            fs::write(missing, bytes).unwrap();
        }
        fs::write(&all[0], &fs::read(&all[0]).unwrap()[1..]).unwrap();
        assert!(matches!(open(directory.path()), Err(StoreError::Damaged(_))));
    });
}

fn base(segment: &Path) -> u64 {
    u64::from_str_radix(segment.file_stem().unwrap().to_str().unwrap(), 16).unwrap()
}

/// All answers about the blocks that [`filled`] writes.
async fn picture(path: &Path) -> String {
    let store = open(path).unwrap();
    let mut written = world::Written::default();
    let (blocks, _) = store.history(None, 100).await.unwrap();
    for stored in blocks {
        written.blocks.push(stored.block.id);
        written.transactions.extend(stored.block.transactions.iter().cloned());
    }
    let picture = world::picture(&store, &written).await;
    store.close().await.unwrap();
    picture
}

#[test]
fn a_backup_restores_to_the_same_ledger() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        let (original, copy) = (directory.path().join("original"), directory.path().join("copy"));
        assert!(matches!(backup(&original, &mut Vec::new(), |_, _| ()), Err(StoreError::NotInitialised)));
        filled(&original).await;
        let expected = picture(&original).await;
        let running = open(&original).unwrap();
        let mut stream = Vec::new();
        let copied = backup(&original, &mut stream, |_, _| ()).unwrap();
        drop(running);
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("keypair.json"), "{}").unwrap();
        assert_eq!(restore(stream.as_slice(), &copy, |_| ()).unwrap(), copied);
        assert_eq!(picture(&copy).await, expected);
        let again = restore(stream.as_slice(), &copy, |_| ());
        assert!(matches!(again, Err(StoreError::AlreadyInitialised)), "{again:?}");

        let open = open(&copy).unwrap();
        assert!(matches!(drop_ledger(&copy), Err(StoreError::Unavailable(_))));
        drop(open);
        assert!(drop_ledger(&copy).unwrap());
        assert!(!drop_ledger(&copy).unwrap());
        assert!(copy.join("keypair.json").exists(), "the key pair is no part of the ledger");
        restore(stream.as_slice(), &copy, |_| ()).unwrap();
        assert_eq!(picture(&copy).await, expected);
    });
}

#[test]
fn a_bad_backup_leaves_nothing_behind() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        let (original, copy) = (directory.path().join("original"), directory.path().join("copy"));
        filled(&original).await;
        let mut stream = Vec::new();
        backup(&original, &mut stream, |_, _| ()).unwrap();
        for length in (0..stream.len()).step_by(97).chain([stream.len() - 1]) {
            let cut = restore(&stream[..length], &copy, |_| ());
            assert!(matches!(cut, Err(StoreError::Damaged(_))), "{length}: {cut:?}");
        }
        for at in (0..stream.len()).step_by(97) {
            let mut bad = stream.clone();
            bad[at] ^= 4;
            let bad = restore(bad.as_slice(), &copy, |_| ());
            assert!(matches!(bad, Err(StoreError::Damaged(_))), "{at}: {bad:?}");
        }
        restore(stream.as_slice(), &copy, |_| ()).unwrap();
        fs::remove_file(copy.join("FORMAT")).unwrap();
        let Err(StoreError::Damaged(text)) = open(&copy) else { panic!("opened half a restore") };
        assert!(text.contains("cut off"), "{text}");
    });
}

#[test]
fn damage_is_not_backed_up_as_if_it_were_the_end() {
    world::run(async {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let last = segments(directory.path()).pop().unwrap();
        let mut bytes = fs::read(&last).unwrap();
        bytes[20] ^= 1;
        fs::write(&last, bytes).unwrap();
        let damaged = backup(directory.path(), &mut Vec::new(), |_, _| ());
        assert!(matches!(damaged, Err(StoreError::Damaged(_))), "{damaged:?}");
    });
}
