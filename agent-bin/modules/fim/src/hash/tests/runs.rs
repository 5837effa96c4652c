//! Runs over many files.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// Small, so that files of several buffers are cheap.
const BUFFER: usize = 512;

type Results = BTreeMap<usize, Result<(Digests, u64), io::ErrorKind>>;

/// Runs over the jobs. Each question for a job that is ready takes an answer from `ready`; without one there are none.
fn results(hasher: &mut Hasher, jobs: Vec<Job<usize>>, ready: &[bool]) -> Results {
    let (mut jobs, mut ready) = (VecDeque::from(jobs), ready.iter().cycle());
    let mut results = Results::new();
    let mut next = |need| match need {
        Need::Now => jobs.pop_front(),
        Need::IfReady => ready.next()?.then(|| jobs.pop_front()).flatten(),
    };
    let mut done = |hashed: Hashed<usize>| {
        let result = hashed.result.map_err(|error| error.kind());
        assert!(results.insert(hashed.tag, result).is_none(), "{} is done twice", hashed.tag);
    };
    hasher.run(&mut next, &mut done, &AtomicBool::new(false));
    results
}

fn jobs_of(contents: &[Vec<u8>], limit: impl Fn(usize) -> u64) -> Vec<Job<usize>> {
    let job = |(tag, bytes): (usize, &Vec<u8>)| Job { file: file(bytes), tag, limit: limit(tag) };
    contents.iter().enumerate().map(job).collect()
}

fn sizes() -> impl Strategy<Value = usize> {
    let edges = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, BUFFER - 1, BUFFER, BUFFER + 1];
    prop_oneof![proptest::sample::select(edges.to_vec()), 0..6 * BUFFER]
}

fn limits() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(u64::MAX), 1 => (0..3 * BUFFER).prop_map(|limit| limit as u64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_files_in_any_order_have_the_digests_of_rustcrypto(
        files in proptest::collection::vec((sizes(), limits()), 0..24),
        ready in proptest::collection::vec(any::<bool>(), 0..12),
        (sha256, sha1, md5) in any::<(bool, bool, bool)>(),
    ) {
        let wanted = Wanted { sha256, sha1, md5 };
        let contents: Vec<Vec<u8>> =
            files.iter().enumerate().map(|(tag, (size, _))| content(tag.to_le_bytes()[0], *size)).collect();
        let expected: Results = contents.iter().zip(&files).enumerate().map(|(tag, (bytes, (_, limit)))| {
            let end = usize::try_from(*limit).map_or(bytes.len(), |limit| limit.min(bytes.len()));
            (tag, Ok(expected(wanted, &bytes[..end])))
        }).collect();
        for kernel in kernels("any_files_in_any_order_have_the_digests_of_rustcrypto") {
            let mut hasher = Hasher::with(kernel, wanted, BUFFER);
            let jobs = jobs_of(&contents, |tag| files[tag].1);
            prop_assert_eq!(&results(&mut hasher, jobs, &ready), &expected);
        }
    }
}

#[test]
fn the_real_buffers_hold_at_their_edges() {
    let edges = [BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES, 1, 100, 0];
    let contents = edges.map(|size| content(1, size));
    for kernel in kernels("the_real_buffers_hold_at_their_edges") {
        let mut hasher = Hasher::with(kernel, SHA256, BUFFER_BYTES);
        let results = results(&mut hasher, jobs_of(&contents, |_| u64::MAX), &[true]);
        for (tag, result) in results {
            assert_eq!(result, Ok(expected(SHA256, &contents[tag])), "{} bytes", edges[tag]);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = (0..20).map(|tag| content(tag, 300 * usize::from(tag))).collect();
    for kernel in kernels("a_file_that_cannot_be_read_fails_alone") {
        let mut jobs = jobs_of(&contents, |_| u64::MAX);
        for job in jobs.iter_mut().step_by(3) {
            job.file = File::open(folder.path()).unwrap();
        }
        let results = results(&mut Hasher::with(kernel, ALL, BUFFER), jobs, &[true]);
        assert_eq!(results.len(), contents.len());
        for (tag, result) in results {
            let is_folder = tag.is_multiple_of(3);
            let right = if is_folder {
                Err(io::ErrorKind::IsADirectory)
            } else {
                Ok(expected(ALL, &contents[tag]))
            };
            assert_eq!(result, right, "file {tag}");
        }
    }
}

#[test]
fn files_come_back_open_with_their_tags() {
    for kernel in kernels("files_come_back_open_with_their_tags") {
        let mut jobs = vec![Job { file: file(b"abc"), tag: "a tag", limit: 9 }];
        let mut back = None;
        let mut hasher = Hasher::with(kernel, SHA256, BUFFER);
        hasher.run(&mut |_| jobs.pop(), &mut |hashed| back = Some(hashed), &AtomicBool::new(false));
        let hashed = back.unwrap();
        assert_eq!((hashed.tag, hashed.file.metadata().unwrap().len()), ("a tag", 3));
    }
}

#[test]
fn a_short_file_does_not_wait_for_an_endless_one() {
    for kernel in kernels("a_short_file_does_not_wait_for_an_endless_one") {
        if kernel.lanes() == 1 {
            continue;
        }
        let stop = AtomicBool::new(false);
        let endless = Job { file: File::open("/dev/zero").unwrap(), tag: 0, limit: u64::MAX };
        let mut jobs =
            VecDeque::from([endless, Job { file: file(b"abc"), tag: 1, limit: u64::MAX }]);
        let mut tags = vec![];
        let mut done = |hashed: Hashed<i32>| {
            tags.push(hashed.tag);
            stop.store(true, Ordering::Relaxed);
        };
        Hasher::with(kernel, SHA256, BUFFER).run(&mut |_| jobs.pop_front(), &mut done, &stop);
        assert_eq!(tags, [1]);
    }
}

#[test]
fn a_stop_ends_a_run_within_an_endless_file_and_the_next_run_is_right() {
    for kernel in kernels("a_stop_ends_a_run_within_an_endless_file_and_the_next_run_is_right") {
        let stop = Arc::new(AtomicBool::new(false));
        let (started, has_started) = mpsc::channel();
        let of_thread = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut hasher = Hasher::with(kernel, ALL, BUFFER);
            let mut given = 0;
            let mut next = |_| {
                given += 1;
                started.send(()).unwrap();
                (given < 4).then(|| Job {
                    file: File::open("/dev/zero").unwrap(),
                    tag: (),
                    limit: u64::MAX,
                })
            };
            hasher.run(&mut next, &mut |_| panic!("an endless file has ended"), &of_thread);
            hasher
        });
        has_started.recv().unwrap();
        stop.store(true, Ordering::Relaxed);
        let mut hasher = thread.join().unwrap();
        let contents = vec![content(1, 700), content(2, 20)];
        let results = results(&mut hasher, jobs_of(&contents, |_| u64::MAX), &[true]);
        assert_eq!(results[&0], Ok(expected(ALL, &contents[0])));
        assert_eq!(results[&1], Ok(expected(ALL, &contents[1])));
    }
}

#[test]
fn a_run_that_is_stopped_before_it_starts_asks_for_nothing() {
    let mut next = |_| -> Option<Job<()>> { panic!("asked for a job") };
    Hasher::new(ALL).run(&mut next, &mut |_| panic!("hashed a job"), &AtomicBool::new(true));
}

#[test]
fn idle_lanes_are_asked_for_only_while_others_work() {
    for kernel in kernels("idle_lanes_are_asked_for_only_while_others_work") {
        let mut jobs = jobs_of(&[content(1, 10), content(2, 5 * BUFFER)], |_| u64::MAX);
        let mut needs = vec![];
        let mut next = |need| {
            needs.push(need);
            if need == Need::Now { jobs.pop() } else { None }
        };
        let mut hasher = Hasher::with(kernel, SHA256, BUFFER);
        hasher.run(&mut next, &mut |_| (), &AtomicBool::new(false));
        assert_eq!(needs.first(), Some(&Need::Now));
        assert_eq!(needs.iter().filter(|need| **need == Need::Now).count(), 3);
        assert_eq!(needs.contains(&Need::IfReady), kernel.lanes() > 1);
    }
}
