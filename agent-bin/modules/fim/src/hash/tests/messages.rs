//! Single messages.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digests(kernel: Kernel, message: &[u8]) -> Digests {
    one(message, u64::MAX, ALL, kernel, &mut Buffer::new(BUFFER_BYTES)).unwrap().0
}

#[test]
fn the_known_answers_come_out() {
    let million = vec![b'a'; 1_000_000];
    let known: [(&[u8], &str, &str, &str); 3] = [
        (
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "d41d8cd98f00b204e9800998ecf8427e",
        ),
        (
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "900150983cd24fb0d6963f7d28e17f72",
        ),
        (
            &million,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
            "7707d6ae4e027c70eea2a935c2296f21",
        ),
    ];
    for kernel in kernels("the_known_answers_come_out") {
        for (message, sha256, sha1, md5) in known {
            let digests = digests(kernel, message);
            assert_eq!(hex(&digests.sha256.unwrap()), sha256);
            assert_eq!(hex(&digests.sha1.unwrap()), sha1);
            assert_eq!(hex(&digests.md5.unwrap()), md5);
        }
    }
}

#[test]
fn every_length_around_the_padding_is_right() {
    for kernel in kernels("every_length_around_the_padding_is_right") {
        for size in (0..=260).chain([511, 512, 513, 8 * 64 - 9, 9 * 64 + 1, 17 * 64]) {
            let message = content(3, size);
            let digests = digests(kernel, &message);
            assert_eq!(digests, expected(ALL, &message).0, "{size} bytes");
        }
    }
}

#[test]
fn every_lane_has_its_own_state() {
    let test = "every_lane_has_its_own_state";
    for kernel in kernels(test).into_iter().filter(|kernel| kernel.lanes() == LANES) {
        for idle in 0..=LANES {
            let files: [Vec<u8>; LANES] = std::array::from_fn(|lane| {
                let blocks = if lane < idle { 0 } else { 2 + lane % 3 };
                content(lane.to_le_bytes()[0], blocks * 64)
            });
            let blocks: [&[buffer::Block]; LANES] =
                std::array::from_fn(|lane| files[lane].as_chunks().0);
            let mut states = [INITIAL; LANES];
            let taken = kernel.several(&mut states, &blocks);
            for lane in idle..LANES {
                let mut state = INITIAL;
                sha2::block_api::compress256(&mut state, &blocks[lane][..taken[lane]]);
                assert_eq!(states[lane], state, "lane {lane} with {idle} idle");
            }
            assert_eq!(taken[..idle], [0; LANES][..idle]);
            // The shortest has two blocks: more than a few files go on side by side.
            if idle <= LANES - 3 {
                assert_eq!(taken[idle..], [2; LANES][idle..]);
            }
        }
    }
}

/// Gives one byte, an interruption, two bytes, an interruption, and so on.
struct Halting<'a> {
    rest: &'a [u8],
    turn: usize,
}

impl io::Read for Halting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = into.len().min(self.turn);
        self.rest.read(&mut into[..most])
    }
}

#[test]
fn short_and_interrupted_reads_lose_nothing() {
    let message = content(9, 5000);
    for kernel in kernels("short_and_interrupted_reads_lose_nothing") {
        for size in [1, 64, 100, 128, 4999, 5000, 5001] {
            let source = Halting { rest: &message, turn: 0 };
            let result = one(source, u64::MAX, ALL, kernel, &mut Buffer::new(size)).unwrap();
            assert_eq!(result, expected(ALL, &message), "buffer of {size} bytes");
        }
    }
}

#[test]
fn one_file_is_hashed_up_to_its_limit() {
    let message = content(5, 3 * BUFFER_BYTES + 7);
    for limit in [0, 1, 64, BUFFER_BYTES, BUFFER_BYTES + 1, message.len(), message.len() + 1] {
        let result = hash_one(&file(&message), limit as u64, &ALL).unwrap();
        assert_eq!(result, expected(ALL, &message[..limit.min(message.len())]), "limit {limit}");
    }
}

#[test]
fn one_directory_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = hash_one(&File::open(folder.path()).unwrap(), 1000, &ALL).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
}
