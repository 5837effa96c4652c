//! Text of any kind as one segment of a URL path, and back.

/// The path under which the command `id` is found, with every byte escaped that could end the segment.
#[must_use]
pub fn command_path(id: &str) -> String {
    let mut path = String::from("/v1/commands/");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The text that `segment` stands for, or `None` when an escape is broken or the result is not UTF-8.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let high = char::from(digits[0]).to_digit(16)?;
        let low = char::from(digits[1]).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_stays_as_it_is() {
        assert_eq!(command_path("0198-Ab_1"), "/v1/commands/0198-Ab_1");
    }

    #[test]
    fn whatever_could_end_the_segment_is_escaped() {
        assert_eq!(command_path("../a?b#c d%"), "/v1/commands/%2E%2E%2Fa%3Fb%23c%20d%25");
    }

    #[test]
    fn broken_escapes_are_refused() {
        for segment in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(segment), None, "{segment}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back(text in ".*") {
            let path = command_path(&text);
            let segment = path.strip_prefix("/v1/commands/").unwrap();
            proptest::prop_assert_eq!(decode(segment), Some(text));
        }
    }
}
