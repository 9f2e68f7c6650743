//! Composition root: opens the store, binds, spawns, awaits, drains.
