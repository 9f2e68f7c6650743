//! What was read or written lately, so that it is not fetched and parsed again at every stage.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

struct Generations<K, V> {
    new: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    weight: usize,
}

/// Remembers values in two generations: when the new one is full, the one before it is forgotten.
pub struct Recent<K, V> {
    generations: Mutex<Generations<K, V>>,
    capacity: usize,
}

impl<K: Eq + Hash + Copy, V: Clone> Recent<K, V> {
    /// `capacity`: the weight at which a generation is full, in whatever unit [`Self::put`] is given.
    pub fn new(capacity: usize) -> Self {
        let generations = Generations { new: HashMap::new(), old: HashMap::new(), weight: 0 };
        Self { generations: Mutex::new(generations), capacity }
    }

    /// The value, if it is remembered.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock();
        if let Some((value, _)) = generations.new.get(key) {
            return Some(value.clone());
        }
        let (value, weight) = generations.old.remove(key)?;
        generations.put(*key, value.clone(), weight, self.capacity);
        Some(value)
    }

    /// Remembers a value of that weight.
    pub fn put(&self, key: K, value: V, weight: usize) {
        self.generations.lock().put(key, value, weight, self.capacity);
    }
}

impl<K: Eq + Hash + Copy, V: Clone> Generations<K, V> {
    fn put(&mut self, key: K, value: V, weight: usize, capacity: usize) {
        self.weight += weight;
        self.new.insert(key, (value, weight));
        if self.weight > capacity {
            self.old = std::mem::take(&mut self.new);
            self.weight = 0;
        }
    }
}
