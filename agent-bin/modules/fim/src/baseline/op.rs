//! One change of the baseline.

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// One change of the baseline. One that means a path in a folder which is not known is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub(crate) enum Op {
    /// The path looks like this now. A folder that was there keeps its number and what is in it; where a folder becomes
    /// something else, what was in it is removed.
    Put {
        path: PathBytes,
        entry: Entry,
        /// Of a folder: [`Handle::to_bytes`](crate::sys::Handle::to_bytes).
        #[serde(default, skip_serializing_if = "Option::is_none", with = "in_base64")]
        handle: Option<Vec<u8>>,
        /// Whether a scan begins here, so that the folder it is in is of no interest. A path can become a root and cease to
        /// be one; it keeps what is in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        root: bool,
    },
    /// The path is not there any more, nor anything below it, but for another root and what is in that.
    Remove { path: PathBytes },
    /// What was at `from`, with everything below it, is now at `to`; what was at `to` is not there any more. Ignored where
    /// one is below the other.
    Move { from: PathBytes, to: PathBytes },
    /// The scan of this number has been through the folder.
    Scanned { path: PathBytes, number: u64 },
    /// What the kernel calls the watch of the folder.
    Watch { path: PathBytes, watch: Option<i32> },
    /// A folder was here that the baseline never had; the kernel may have more to tell of what was in it.
    Ghost { path: PathBytes, handle: Handle },
    /// The text of the file, to tell later what was changed in it. It goes with the file.
    Text { path: PathBytes, text: Option<String> },
}

mod in_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde wants it so")]
    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text)).transpose().map_err(de::Error::custom)
    }
}
