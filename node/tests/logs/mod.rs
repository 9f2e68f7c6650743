//! What a test program logs.
#![allow(dead_code)] // Each test program uses a part of it.

use std::io;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

/// Log lines of the whole program: its other tests log at the same time, and lines are told apart by what they name.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// From the program's first call on.
    pub fn collect() -> Self {
        static LINES: LazyLock<Lines> = LazyLock::new(|| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
            tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
            lines
        });
        LINES.clone()
    }

    /// Lines that hold all of these.
    pub fn with(&self, texts: &[&str]) -> Vec<String> {
        let all = String::from_utf8_lossy(&self.0.lock()).into_owned();
        let lines = all.lines().filter(|line| texts.iter().all(|text| line.contains(text)));
        lines.map(str::to_owned).collect()
    }
}
