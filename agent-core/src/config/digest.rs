//! Fingerprints of texts and sections, so that a reload can tell what has changed.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// SHA-256 of `bytes` in hexadecimal digits.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes).into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The fingerprint of one module's settings. The keys of `section` must have been put in sorted, as the tree does.
pub(super) fn module_digest(enabled: bool, section: &Value) -> String {
    hex_sha256(json!([enabled, section]).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_plain_sha256() {
        assert_eq!(
            hex_sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
