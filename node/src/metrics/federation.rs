//! Who belongs to the federation as this node sees it, and whether this process works for its node.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::scraped::{Scraped, set};

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
    state: Scraped<State>,
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
            state: Scraped::default(),
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
        self.state.watch(state);
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh(&self) {
        let Some(State { generation, active, known, differing, on_duty }) = self.state.ask() else { return };
        set(&self.generation, generation);
        set(&self.active, active);
        set(&self.known, known);
        set(&self.differing, differing);
        set(&self.on_duty, on_duty);
    }
}
