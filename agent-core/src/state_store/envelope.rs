//! The form of a state file: one line of JSON that describes and vouches for the bytes behind it.

use module_api::ModuleName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that this code writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// The longest header, in bytes; a file without a line end within it has none.
const HEADER_MAX: usize = 1_024;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    module: String,
    version: u32,
    length: u64,
    /// Of the other values of the header, a line each, and then the bytes; in lower-case hex.
    sha256: String,
}

/// Only this is read of the header of another format.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// What is wrong with the content of a state file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAState {
    #[error("it has no header")]
    NoHeader,
    #[error("its format is {0}, this agent knows {FORMAT}")]
    Format(u32),
    #[error("it is of module {0:?}")]
    OtherModule(String),
    #[error("it has {found} bytes of {expected}")]
    Length { found: u64, expected: u64 },
    #[error("its checksum is wrong")]
    Checksum,
}

/// The content of the file for this state.
pub(super) fn seal(module: &ModuleName, version: u32, bytes: &[u8]) -> Vec<u8> {
    let length = length_of(bytes);
    let sha256 = checksum(module.as_str(), version, length, bytes);
    let header =
        Header { format: FORMAT, module: module.as_str().to_owned(), version, length, sha256 };
    let mut contents = serde_json::json!(header).to_string().into_bytes();
    contents.push(b'\n');
    contents.extend_from_slice(bytes);
    contents
}

/// The version and the bytes in the content of a file that was written for `module`.
pub(super) fn open(
    module: &ModuleName,
    mut contents: Vec<u8>,
) -> Result<(u32, Vec<u8>), NotAState> {
    let line_end = contents.iter().take(HEADER_MAX).position(|byte| *byte == b'\n');
    let line_end = line_end.ok_or(NotAState::NoHeader)?;
    let bytes = contents.split_off(line_end + 1);
    let FormatOnly { format } =
        serde_json::from_slice(&contents).map_err(|_| NotAState::NoHeader)?;
    if format != FORMAT {
        return Err(NotAState::Format(format));
    }
    let header: Header = serde_json::from_slice(&contents).map_err(|_| NotAState::NoHeader)?;
    if header.module != module.as_str() {
        return Err(NotAState::OtherModule(header.module));
    }
    let found = length_of(&bytes);
    if found != header.length {
        return Err(NotAState::Length { found, expected: header.length });
    }
    if checksum(&header.module, header.version, header.length, &bytes) != header.sha256 {
        return Err(NotAState::Checksum);
    }
    Ok((header.version, bytes))
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn checksum(module: &str, version: u32, length: u64, bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{FORMAT}\n{module}\n{version}\n{length}\n"));
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fim() -> ModuleName {
        ModuleName::new("fim").unwrap()
    }

    #[test]
    fn a_file_of_another_module_is_refused() {
        let contents = seal(&ModuleName::new("sca").unwrap(), 1, b"x");
        assert_eq!(open(&fim(), contents), Err(NotAState::OtherModule("sca".to_owned())));
    }

    #[test]
    fn a_newer_format_is_named_whatever_else_is_in_it() {
        let contents = b"{\"format\":2,\"new\":true}\nbytes".to_vec();
        assert_eq!(open(&fim(), contents), Err(NotAState::Format(2)));
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_found_again(version in any::<u32>(), bytes: Vec<u8>) {
            prop_assert_eq!(open(&fim(), seal(&fim(), version, &bytes)), Ok((version, bytes)));
        }

        #[test]
        fn no_changed_byte_goes_unnoticed(bytes: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let mut contents = seal(&fim(), 7, &bytes);
            let at = at.index(contents.len());
            contents[at] ^= flip;
            prop_assert!(open(&fim(), contents).is_err());
        }

        #[test]
        fn no_torn_file_is_taken_for_a_state(bytes: Vec<u8>, cut: prop::sample::Index) {
            let mut contents = seal(&fim(), 7, &bytes);
            contents.truncate(cut.index(contents.len()));
            prop_assert!(open(&fim(), contents).is_err());
        }
    }
}
