//! Identifiers: a prefix that says what it names, and a UUIDv7 (RFC 9562, section 5.7) in 32 hexadecimal digits.

use sha2::{Digest, Sha256};

use crate::types::{Id, Instant};

/// Longest id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Mints an id from the present time and ten random bytes: sortable by time, unguessable by 74 bits.
pub fn mint(prefix: &str, now: Instant, random: [u8; 10]) -> Id {
    let mut uuid = [0u8; 16];
    uuid[..6].copy_from_slice(&now.to_be_bytes()[2..]);
    uuid[6..].copy_from_slice(&random);
    uuid[6] = (uuid[6] & 0x0f) | 0x70;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    format!("{prefix}_{}", hex(&uuid))
}

/// Derives an id from what it belongs to: the same parts give the same id. No part may hold a U+001F.
pub fn derive(prefix: &str, parts: &[&str]) -> Id {
    format!("{prefix}_{}", &digest(parts)[..32])
}

/// SHA-256 of the parts in 64 hexadecimal digits; parts are kept apart.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// Whether a text has the form of an id with this prefix. It says nothing of whether the subject exists.
pub fn is_id(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

/// Bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_sort_by_time_and_have_their_form() {
        let early = mint("ord", 1_700_000_000_000, [0xff; 10]);
        let late = mint("ord", 1_700_000_000_001, [0; 10]);
        assert!(early < late);
        assert!(is_id("ord", &early), "{early}");
        assert_eq!(early, "ord_018bcfe568007fffbfffffffffffffff");
        assert!(!is_id("ord", "ord_018BCFE568007FFFBFFFFFFFFFFFFFFF"));
        assert!(!is_id("pay", &early));
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(derive("mov", &["ab", "c"]), derive("mov", &["a", "bc"]));
        assert_eq!(derive("mov", &["ab", "c"]), derive("mov", &["ab", "c"]));
    }
}
