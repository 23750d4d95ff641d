//! Tokens that were verified a moment ago, so that a busy caller costs no cryptography but one hash.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;

use super::Viewer;
use crate::clock::Timestamp;
use crate::domain::limits::{TOKEN_CACHE_AGE_SECONDS_MAX, TOKEN_CACHE_ENTRIES_MAX};

/// Remembers viewers by the SHA-256 of their token: tokens themselves are not kept in memory.
///
/// Two halves: entries go into the young one; when that is full it becomes the old one, and the old one goes. So what
/// is forgotten was not verified lately, and nothing is ever searched.
pub(super) struct Cache {
    halves: Mutex<Halves>,
    half_entries_max: usize,
}

#[derive(Default)]
struct Halves {
    young: HashMap<TokenHash, Entry>,
    old: HashMap<TokenHash, Entry>,
}

/// The name of a token in the cache.
pub(super) type TokenHash = [u8; 32];

struct Entry {
    viewer: Viewer,
    verified_at: Timestamp,
}

impl Default for Cache {
    fn default() -> Self {
        Self { halves: Mutex::default(), half_entries_max: TOKEN_CACHE_ENTRIES_MAX / 2 }
    }
}

pub(super) fn hash(token: &str) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

impl Cache {
    /// The viewer of a token that was verified lately and has not expired.
    pub(super) fn get(&self, token: &TokenHash, now: Timestamp) -> Option<Viewer> {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = halves.young.get(token).or_else(|| halves.old.get(token))?;
        let age = (now - entry.verified_at).abs();
        let is_valid =
            entry.viewer.expires_at() > now && age < TimeDelta::seconds(TOKEN_CACHE_AGE_SECONDS_MAX);
        is_valid.then(|| entry.viewer.clone())
    }

    pub(super) fn put(&self, token: TokenHash, viewer: Viewer, now: Timestamp) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= self.half_entries_max {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(token, Entry { viewer, verified_at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;

    fn viewer(expires_at: Timestamp) -> Viewer {
        Viewer::new("ada".into(), "user:ada".into(), Role::Member, expires_at, false)
    }

    #[test]
    fn a_token_is_remembered_until_it_expires_or_is_due_again() {
        let now = crate::clock::now();
        let cache = Cache::default();
        cache.put(hash("short"), viewer(now + TimeDelta::seconds(5)), now);
        cache.put(hash("long"), viewer(now + TimeDelta::days(1)), now);
        let found = |token, seconds| cache.get(&hash(token), now + TimeDelta::seconds(seconds)).is_some();
        assert!(found("short", 4) && !found("short", 5));
        assert!(found("long", 599) && !found("long", 600));
        assert!(!found("unseen", 0));
    }

    #[test]
    fn it_is_bounded_and_forgets_the_oldest() {
        let now = crate::clock::now();
        let cache = Cache { half_entries_max: 2, ..Cache::default() };
        for token in ["a", "b", "c", "d", "e"] {
            cache.put(hash(token), viewer(now + TimeDelta::hours(1)), now);
        }
        let remembered: Vec<bool> =
            ["a", "b", "c", "d", "e"].iter().map(|token| cache.get(&hash(token), now).is_some()).collect();
        assert_eq!(remembered, [false, false, true, true, true]);
    }
}
