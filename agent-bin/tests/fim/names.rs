//! Names for files: mostly short and used again and again, now and then as odd as a name may be.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// How many short names there are; few, so that a name comes back after its deletion.
const SHORT: u32 = 60;

/// A name that may be in use.
pub(crate) fn name(rng: &mut fastrand::Rng) -> OsString {
    let number = rng.u32(..SHORT);
    let bytes = match rng.u32(..100) {
        0 => [b"\xff\xfe\x80".as_slice(), number.to_string().as_bytes()].concat(),
        1 => format!("two\nlines{number}").into_bytes(),
        2 => format!("{number:0>255}").into_bytes(),
        3 => format!("{number}{}", "\u{1f512}".repeat(50)).into_bytes(),
        4 => format!(" \"-{number}\\%s {{}}$(x)'").into_bytes(),
        5 => format!("...{number}").into_bytes(),
        _ => format!("n{number}").into_bytes(),
    };
    OsString::from_vec(bytes)
}
