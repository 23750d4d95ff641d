//! A bounded memory of what was used lately.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// What was used lately, by key.
///
/// Two halves: entries go into the young one; when that is full it becomes the old one, and the old one goes. One that is found
/// in the old half moves to the young one. So what is forgotten was not used lately, and nothing is ever searched.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, Entry<V>>,
    young_weight: usize,
    old: HashMap<K, Entry<V>>,
    half_weight_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// A memory of entries that weigh `weight_max` together at most, give or take one.
    pub fn new(weight_max: usize) -> Self {
        let half_weight_max = weight_max / 2;
        Self { young: HashMap::new(), young_weight: 0, old: HashMap::new(), half_weight_max }
    }

    /// What was put under this key, unless it is forgotten.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.young.get(key) {
            return Some(entry.value.clone());
        }
        let (key, Entry { value, weight }) = self.old.remove_entry(key)?;
        self.put(key, value.clone(), weight);
        Some(value)
    }

    /// Remembers a value.
    pub fn put(&mut self, key: K, value: V, weight: usize) {
        if self.young_weight + weight > self.half_weight_max {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
        let replaced = self.young.insert(key, Entry { value, weight });
        self.young_weight += weight;
        self.young_weight -= replaced.map_or(0, |entry| entry.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(recent: &Recent<&str, ()>) -> Vec<&'static str> {
        let is_known = |key: &&str| recent.young.contains_key(*key) || recent.old.contains_key(*key);
        ["a", "b", "c", "d", "e"].into_iter().filter(is_known).collect()
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut recent = Recent::new(4);
        ["a", "b", "c"].into_iter().for_each(|key| recent.put(key, (), 1));
        assert!(recent.get("a").is_some(), "it moves to the young ones");
        ["d", "e"].into_iter().for_each(|key| recent.put(key, (), 1));
        assert_eq!(known(&recent), ["a", "c", "d", "e"]);
        assert!(recent.get("b").is_none());
    }

    #[test]
    fn what_is_put_again_weighs_once() {
        let mut recent = Recent::new(12);
        ["a", "b", "c", "c", "d", "e"].into_iter().for_each(|key| recent.put(key, (), 3));
        assert_eq!(known(&recent), ["c", "d", "e"]);
        assert_eq!((recent.young_weight, recent.young.len()), (3, 1));
    }
}
