//! Keeps the lanes of a hasher busy.

use super::buffer::{Block, Buffer};
use super::kernel::{INITIAL, LANES};
use super::progress::Progress;
use super::{Hashed, Hasher, Job, Need};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

/// One run of a hasher over the jobs that it is given.
pub(super) struct Run<'a, T> {
    hasher: &'a mut Hasher,
    /// What each lane works on.
    works: Vec<Option<Work<T>>>,
    next: &'a mut dyn FnMut(Need) -> Option<Job<T>>,
    done: &'a mut dyn FnMut(Hashed<T>),
}

struct Work<T> {
    file: File,
    tag: T,
    progress: Progress,
}

impl<'a, T> Run<'a, T> {
    pub(super) fn new(
        hasher: &'a mut Hasher,
        next: &'a mut dyn FnMut(Need) -> Option<Job<T>>,
        done: &'a mut dyn FnMut(Hashed<T>),
    ) -> Self {
        // A run that was stopped leaves bytes behind.
        hasher.buffers.iter_mut().for_each(Buffer::clear);
        let works = hasher.buffers.iter().map(|_| None).collect();
        Self { hasher, works, next, done }
    }

    pub(super) fn until(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.take();
            if self.is_idle() {
                return;
            }
            self.fill();
            self.compress();
            self.finish();
        }
    }

    fn is_idle(&self) -> bool {
        self.works.iter().all(Option::is_none)
    }

    /// Gives a job to each idle lane, as far as there are any.
    fn take(&mut self) {
        let mut need = if self.is_idle() { Need::Now } else { Need::IfReady };
        for lane in 0..self.works.len() {
            if self.works[lane].is_some() {
                continue;
            }
            let Some(Job { file, tag, limit }) = (self.next)(need) else { return };
            need = Need::IfReady;
            self.works[lane] =
                Some(Work { file, tag, progress: Progress::new(self.hasher.wanted, limit) });
            self.hasher.states[lane] = INITIAL;
            self.hasher.buffers[lane].clear();
        }
    }

    /// Reads for each lane that has nothing left to compress.
    fn fill(&mut self) {
        for (work, buffer) in self.works.iter_mut().zip(&mut self.hasher.buffers) {
            let Some(busy) = work.as_mut().filter(|_| buffer.blocks().is_empty()) else { continue };
            let Err(error) = busy.progress.fill(&mut busy.file, buffer) else { continue };
            buffer.clear();
            if let Some(Work { file, tag, .. }) = work.take() {
                (self.done)(Hashed { tag, file, result: Err(error) });
            }
        }
    }

    fn compress(&mut self) {
        let Hasher { wanted, kernel, buffers, states } = &mut *self.hasher;
        if !wanted.sha256 {
            buffers.iter_mut().for_each(Buffer::consume_all);
            return;
        }
        let mut blocks: [&[Block]; LANES] = [&[]; LANES];
        for (blocks, buffer) in blocks.iter_mut().zip(&*buffers) {
            *blocks = buffer.blocks();
        }
        let taken = kernel.several(states, &blocks);
        for (buffer, taken) in buffers.iter_mut().zip(taken) {
            buffer.consume(taken);
        }
    }

    /// Hands on the files whose last block is compressed.
    fn finish(&mut self) {
        for (lane, work) in self.works.iter_mut().enumerate() {
            let is_over = |work: &mut Work<T>| {
                work.progress.has_ended() && self.hasher.buffers[lane].blocks().is_empty()
            };
            if let Some(Work { file, tag, progress }) = work.take_if(is_over) {
                let result = Ok(progress.finish(&self.hasher.states[lane]));
                (self.done)(Hashed { tag, file, result });
            }
        }
    }
}
