//! The id of a generation that is imported: the same each time.

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use super::scan::Found;

/// The id that the generation has, if that is a UUID; else one that follows from its project and its folder.
///
/// The tenant is part of the latter: ids are unique on a server, and two tenants may import the same folders. Of two that
/// import the same generation with a UUID of its own, the second is told that the id is taken.
pub(super) fn of(found: &Found, tenant_id: &str) -> Uuid {
    Uuid::parse_str(&found.generation)
        .unwrap_or_else(|_| derived(&[tenant_id, &found.project, &found.generation]))
}

/// A UUID of version 8, made of a hash: version 5 is made of SHA-1, which nothing else here needs.
fn derived(parts: &[&str]) -> Uuid {
    let mut hash = Context::new(&SHA256);
    hash.update(b"runledger import");
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_its_parts_and_from_nothing_else() {
        let id = derived(&["acme", "shop", "first"]);
        assert_eq!(id, derived(&["acme", "shop", "first"]));
        // Written down, so that a later version gives the same: else everything would be imported again.
        assert_eq!(id.to_string(), "81802f64-871e-817c-89f5-a64ef2e330a4");
        for other in [["acme", "shop", "second"], ["acme", "shopf", "irst"], ["other", "shop", "first"]] {
            assert_ne!(id, derived(&other));
        }
    }
}
