//! The recorder against SIGKILL: what was read from a queue is in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};

use super::*;
use crate::watch::inotify::{HalfMoved, Inotify, parse};
use crate::watch::{Told, without_repeats};

/// Tells the child of a test what it is.
const CHILD: &str = "FIM_TEST_READS_A_QUEUE";
const READY: &str = "the child reads";
const NAME: &str = "test-recorder";

/// One read as the engine does it; how many bytes there were.
fn read(queue: impl AsFd, recorder: &mut Recorder, half: &mut Option<HalfMoved>) -> usize {
    let bytes = match rustix::io::read(queue, recorder.begin_read(1)) {
        Ok(bytes) => bytes,
        Err(rustix::io::Errno::AGAIN) => return 0,
        Err(error) => panic!("{error}"),
    };
    let told = parse(&recorder.scratch()[..bytes], half);
    for told in told {
        recorder.append(&notice(told)).unwrap();
    }
    recorder.append_half(half.as_ref()).unwrap();
    recorder.clear_scratch(bytes);
    bytes
}

fn notice(told: Told) -> Notice {
    match told {
        Told::Notice(notice) => notice,
        Told::Overflow | Told::WatchGone(_) => panic!("{told:?}"),
    }
}

/// Reads without end: the queue is its standard error, the recorder its standard input.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment tells the child what it is")]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let memory = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let queue = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    let (mut recorder, _) = Recorder::adopt(SensorFd::new(NAME, memory).unwrap(), 1).unwrap();
    let mut half = None;
    println_now(READY);
    loop {
        read(&queue, &mut recorder, &mut half);
        poll(&mut [PollFd::new(&queue, PollFlags::IN)], None).unwrap();
    }
}

fn println_now(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").and_then(|()| out.flush()).unwrap();
}

/// Returns when the child is about to read.
#[expect(clippy::disallowed_methods, reason = "a kill needs a process")]
fn start(queue: OwnedFd, memory: OwnedFd) -> Child {
    let (_this_crate, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::child"), "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::from(memory))
        .stderr(Stdio::from(queue))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == READY), "the child has ended");
    child
}

/// Makes, renames and removes a folder, and returns its two names.
fn make(folder: &std::path::Path, name: &str) -> [Vec<u8>; 2] {
    let [old, new] = ["old", "new"].map(|end| format!("{name}-{end}"));
    fs::create_dir(folder.join(&old)).unwrap();
    fs::rename(folder.join(&old), folder.join(&new)).unwrap();
    fs::remove_dir(folder.join(&new)).unwrap();
    [old, new].map(String::into_bytes)
}

/// What the one that was killed has left, in order.
fn adopt(recorder: &Recorder) -> (Recorder, Vec<Notice>) {
    let (mut recorder, left) = Recorder::adopt(recorder.sensor().unwrap(), 1).unwrap();
    let mut half = None;
    let mut scratch: Vec<Notice> =
        parse(&left.scratch, &mut half).into_iter().map(notice).collect();
    scratch.extend(half.map(|half| half.notice().clone()));
    recorder.switch();
    recorder.forget();
    (recorder, without_repeats(left.notices, left.of_scratch, scratch))
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Inotify::new().unwrap();
    instance.add(fs::File::open(folder.path()).unwrap().as_fd(), false).unwrap();
    let mut recorder = Recorder::new(NAME, 1).unwrap();
    let (mut recorded, mut queued) = (0, 0);
    for round in 0..20 {
        let queue = instance.as_fd().try_clone_to_owned().unwrap();
        let mut child = start(queue, recorder.sensor().unwrap().into_fd());
        let mut made = BTreeSet::new();
        (0..1 + 37 * round).for_each(|number| {
            made.extend(make(folder.path(), &format!("{round}-{number}")));
        });
        child.kill().unwrap();
        (0..10).for_each(|number| made.extend(make(folder.path(), &format!("{round}-x{number}"))));
        child.wait().unwrap();

        let (adopted, mut told) = adopt(&recorder);
        recorder = adopted;
        recorded += told.len();
        let mut half = None;
        while read(&instance, &mut recorder, &mut half) > 0 {}
        let (adopted, after) = adopt(&recorder);
        recorder = adopted;
        queued += after.len();
        told.extend(after);
        let names: BTreeSet<Vec<u8>> = told
            .into_iter()
            .flat_map(|notice| {
                [Some(notice.name), notice.renamed_to.map(|(_, name)| name)].into_iter().flatten()
            })
            .collect();
        assert!(made.is_subset(&names), "lost in round {round}: {:?}", made.difference(&names));
    }
    assert!(recorded > 0 && queued > 0, "{recorded} recorded, {queued} queued");
}
