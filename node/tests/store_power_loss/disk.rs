//! A disk in memory that remembers every write and sync, so that one run can be cut off at any point afterwards, with
//! whatever a real disk might have kept of what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bigchaindb::store::embedded::io::{Io, IoFile};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Smallest piece that a disk writes whole.
const SECTOR: usize = 512;

/// What was done to the disk.
#[derive(Clone, Debug)]
pub enum Event {
    Create(String),
    Write(String, u64, Vec<u8>),
    SetSize(String, u64),
    Sync(String),
    Remove(String),
    Rename(String, String),
    SyncDir,
    /// Nothing: so many steps of the script were confirmed.
    Confirmed(usize),
}

/// What is left of the operations that were not synced when the power went.
#[derive(Clone, Copy, Debug)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// All of them (as when only the process was killed).
    Everything,
    /// All, but of the last write only so many bytes.
    Torn(usize),
    /// Sectors by chance.
    Sectors(u64),
}

/// A fault of the running disk.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A sync reports an error.
    Sync,
    /// A write takes so many bytes and reports a full disk.
    Full(usize),
    /// A new name is refused.
    Rename,
}

/// Files by name.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct State {
    files: Image,
    events: Vec<Event>,
    fault: Option<(usize, Fault)>,
    failed: bool,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk with these files, all of them durable.
    pub fn with(files: Image) -> Self {
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// Lets the event of that number fail, if it is of the fitting kind.
    pub fn fail(&self, event: usize, fault: Fault) {
        self.0.lock().fault = Some((event, fault));
    }

    /// Whether the fault has happened.
    pub fn has_failed(&self) -> bool {
        self.0.lock().failed
    }

    /// Notes that steps were confirmed.
    pub fn confirm(&self, steps: usize) {
        self.0.lock().events.push(Event::Confirmed(steps));
    }

    /// Everything that happened.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().events.clone()
    }

    /// The files as a program sees them.
    pub fn files(&self) -> Image {
        self.0.lock().files.clone()
    }
}

impl Io for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn IoFile>> {
        let mut state = self.0.lock();
        if !state.files.contains_key(name) {
            state.files.insert(name.to_owned(), Vec::new());
            state.events.push(Event::Create(name.to_owned()));
        }
        Ok(Arc::new(DiskFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.files.remove(name);
        state.events.push(Event::Remove(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(Fault::Rename) = DiskFile::fault(&mut state) {
            state.failed = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let bytes = state.files.remove(from).unwrap();
        state.files.insert(to.to_owned(), bytes);
        state.events.push(Event::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.lock().events.push(Event::SyncDir);
        Ok(())
    }
}

struct DiskFile {
    disk: Disk,
    name: String,
}

impl DiskFile {
    fn fault(state: &mut State) -> Option<Fault> {
        let (at, fault) = state.fault?;
        (state.events.len() == at).then_some(fault)
    }
}

impl IoFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[&self.name].len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.0.lock();
        let file = &state.files[&self.name];
        let rest = file.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        assert!(!state.failed, "the store writes on after a failed write or sync");
        let mut data = data.to_vec();
        let mut result = Ok(());
        if let Some(Fault::Full(kept)) = Self::fault(&mut state) {
            data.truncate(kept.min(data.len()));
            state.failed = true;
            result = Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        write(state.files.get_mut(&self.name).unwrap(), offset, &data);
        state.events.push(Event::Write(self.name.clone(), offset, data));
        result
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if let Some(Fault::Sync) = Self::fault(&mut state) {
            state.failed = true;
            return Err(io::Error::other("the disk gave up"));
        }
        state.events.push(Event::Sync(self.name.clone()));
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.files.get_mut(&self.name).unwrap().resize(size as usize, 0);
        state.events.push(Event::SetSize(self.name.clone(), size));
        Ok(())
    }
}

fn write(file: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let end = offset as usize + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset as usize..end].copy_from_slice(data);
}

/// What a disk that began with `start` holds after some events and a loss of power.
pub fn image_after(start: &Image, events: &[Event], survival: Survival) -> Image {
    // Files by number, since what a name stands for changes.
    let mut durable: BTreeMap<usize, Vec<u8>> = start.values().cloned().enumerate().collect();
    let mut durable_names: BTreeMap<String, usize> = start.keys().cloned().zip(0..).collect();
    let mut names = durable_names.clone();
    let mut pending: Vec<(usize, &Event)> = Vec::new();
    for event in events {
        match event {
            Event::Create(name) => {
                names.insert(name.clone(), durable.len());
                durable.insert(durable.len(), Vec::new());
            }
            Event::Remove(name) => drop(names.remove(name)),
            Event::Rename(from, to) => {
                let file = names.remove(from).unwrap();
                names.insert(to.clone(), file);
            }
            Event::SyncDir => durable_names = names.clone(),
            Event::Write(name, ..) | Event::SetSize(name, _) => pending.push((names[name], event)),
            Event::Sync(name) => {
                pending.retain(|(file, event)| {
                    let synced = *file == names[name];
                    if synced {
                        apply(&mut durable, *file, event);
                    }
                    !synced
                });
            }
            Event::Confirmed(_) => {}
        }
    }
    let mut random = StdRng::seed_from_u64(if let Survival::Sectors(seed) = survival { seed } else { 0 });
    match survival {
        Survival::Nothing => {}
        Survival::Everything => pending.iter().for_each(|(file, event)| apply(&mut durable, *file, event)),
        Survival::Torn(kept) => {
            let (last, before) = pending.split_last().map_or((None, &[][..]), |(last, before)| (Some(last), before));
            before.iter().for_each(|(file, event)| apply(&mut durable, *file, event));
            if let Some((file, Event::Write(name, offset, data))) = last {
                let data = data[..kept.min(data.len())].to_vec();
                apply(&mut durable, *file, &Event::Write(name.clone(), *offset, data));
            }
        }
        Survival::Sectors(_) => {
            for (file, event) in pending {
                match event {
                    Event::Write(name, offset, data) => {
                        let mut at = *offset;
                        let mut rest = data.as_slice();
                        while !rest.is_empty() {
                            let (sector, more) = rest.split_at(rest.len().min(SECTOR - at as usize % SECTOR));
                            if random.random_bool(0.5) {
                                apply(&mut durable, file, &Event::Write(name.clone(), at, sector.to_vec()));
                            }
                            at += sector.len() as u64;
                            rest = more;
                        }
                    }
                    other if random.random_bool(0.5) => apply(&mut durable, file, other),
                    _ => {}
                }
            }
        }
    }
    let kept = match survival {
        Survival::Nothing => durable_names,
        Survival::Sectors(_) if random.random_bool(0.5) => durable_names,
        _ => names,
    };
    kept.into_iter().map(|(name, file)| (name, durable.remove(&file).unwrap_or_default())).collect()
}

fn apply(files: &mut BTreeMap<usize, Vec<u8>>, file: usize, event: &Event) {
    let file = files.entry(file).or_default();
    match event {
        Event::Write(_, offset, data) => write(file, *offset, data),
        Event::SetSize(_, size) => file.resize(*size as usize, 0),
        _ => {}
    }
}
