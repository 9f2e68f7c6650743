//! Who belongs to the federation as this node sees it, and whether this process works for its node.

use std::sync::OnceLock;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How the federation stands now.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Counts the changes of the keyring.
    pub generation: u64,
    /// Active keys.
    pub active: usize,
    /// Keys whose blocks and votes count.
    pub known: usize,
    /// Other nodes whose blocks list other voters, or whose keys are in no keyring of this node.
    pub differing: usize,
    /// Whether this process makes blocks and votes.
    pub on_duty: bool,
}

/// See the module's page.
pub struct Federation {
    state: OnceLock<Box<dyn Fn() -> State + Send + Sync>>,
    generation: Gauge,
    active: Gauge,
    known: Gauge,
    differing: Gauge,
    on_duty: Gauge,
}

impl Federation {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let federation = Self {
            state: OnceLock::new(),
            generation: Gauge::default(),
            active: Gauge::default(),
            known: Gauge::default(),
            differing: Gauge::default(),
            on_duty: Gauge::default(),
        };
        let r = registry;
        r.register("keyring_generation", "Counts the changes of the keyring", federation.generation.clone());
        r.register("keyring_active", "Keys that transactions are assigned to", federation.active.clone());
        r.register("keyring_known", "Keys whose blocks and votes count", federation.known.clone());
        r.register(
            "keyring_differing",
            "Other nodes whose last block lists other voters than this node's keyring, or whose keys are not in it",
            federation.differing.clone(),
        );
        r.register(
            "on_duty",
            "1 if this process makes blocks and votes, 0 if another one with its key does",
            federation.on_duty.clone(),
        );
        federation
    }

    /// Asks here how things stand, each time that somebody scrapes.
    pub fn watch(&self, state: impl Fn() -> State + Send + Sync + 'static) {
        let _ = self.state.set(Box::new(state));
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh(&self) {
        let Some(state) = self.state.get() else { return };
        let State { generation, active, known, differing, on_duty } = state();
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        for (gauge, keys) in [(&self.active, active), (&self.known, known), (&self.differing, differing)] {
            gauge.set(i64::try_from(keys).unwrap_or(i64::MAX));
        }
        self.on_duty.set(on_duty.into());
    }
}
