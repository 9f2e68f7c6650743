//! What is asked each time that somebody scrapes.

use std::sync::OnceLock;

use prometheus_client::metrics::gauge::Gauge;

/// A question, once somebody has said who answers it.
pub struct Scraped<T>(OnceLock<Box<dyn Fn() -> T + Send + Sync>>);

impl<T> Default for Scraped<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Scraped<T> {
    /// From now on this one is asked.
    pub fn watch(&self, answer: impl Fn() -> T + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(answer));
    }

    /// The answer now.
    pub fn ask(&self) -> Option<T> {
        self.0.get().map(|answer| answer())
    }
}

/// Sets a gauge; what is more than it holds is the most that it holds.
pub fn set(gauge: &Gauge, value: impl TryInto<i64>) {
    gauge.set(value.try_into().unwrap_or(i64::MAX));
}
