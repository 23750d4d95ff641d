//! Tokens that were verified a moment ago, so that a busy caller costs no cryptography but one hash.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;

use super::Viewer;
use crate::clock::Timestamp;
use crate::domain::limits::{TOKEN_CACHE_AGE_SECONDS_MAX, TOKEN_CACHE_ENTRIES_MAX};
use crate::domain::recent::Recent;

/// Remembers viewers by the SHA-256 of their token: tokens themselves are not kept in memory.
pub(super) struct Cache(Mutex<Recent<TokenHash, Entry>>);

/// The name of a token in the cache.
pub(super) type TokenHash = [u8; 32];

#[derive(Clone)]
struct Entry {
    viewer: Viewer,
    verified_at: Timestamp,
}

impl Default for Cache {
    fn default() -> Self {
        Self::of(TOKEN_CACHE_ENTRIES_MAX)
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
        let entry = self.lock().get(token)?;
        let age = (now - entry.verified_at).abs();
        let is_valid =
            entry.viewer.expires_at() > now && age < TimeDelta::seconds(TOKEN_CACHE_AGE_SECONDS_MAX);
        is_valid.then_some(entry.viewer)
    }

    pub(super) fn put(&self, token: TokenHash, viewer: Viewer, now: Timestamp) {
        self.lock().put(token, Entry { viewer, verified_at: now }, 1);
    }

    fn of(entries_max: usize) -> Self {
        Self(Mutex::new(Recent::new(entries_max)))
    }

    fn lock(&self) -> MutexGuard<'_, Recent<TokenHash, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let cache = Cache::of(4);
        for token in ["a", "b", "c", "d", "e"] {
            cache.put(hash(token), viewer(now + TimeDelta::hours(1)), now);
        }
        let remembered: Vec<bool> =
            ["a", "b", "c", "d", "e"].iter().map(|token| cache.get(&hash(token), now).is_some()).collect();
        assert_eq!(remembered, [false, false, true, true, true]);
    }
}
