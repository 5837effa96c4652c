//! Memory that a module goes on writing: what it has taken from a queue and not finished is not lost with its process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};

use super::memory::{create, failed, is_sealed, too_large};
use super::{SensorError, SensorFd};

/// The size is fixed for good, and so is that the content is not: nobody who has a copy can seal it against its writer.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// With one of these it cannot be written, or only by whoever mapped it before.
const NOT_WRITABLE: SealFlags = SealFlags::WRITE.union(SealFlags::FUTURE_WRITE);

impl SensorFd {
    /// Makes a recorder: memory of `size` bytes, all zero, that the module writes as long as it runs. The next instance finds in
    /// it what was written last, also when the process was killed. The size is 1 to [`SensorFd::MAX_MEMORY`] bytes and never
    /// changes; what nobody has written costs no memory. Like all memory it is gone after a reboot.
    ///
    /// Like every sensor it is kept only if each instance hands it out: one that was given it answers it again by
    /// [`Module::sensors`](crate::Module::sensors), or it is closed.
    ///
    /// Written and read by `File::from(copy)` of a copy of the descriptor with `write_all_at` and `read_exact_at` of
    /// [`FileExt`](std::os::unix::fs::FileExt), because all copies share one position. A write that would end
    /// beyond the size fails with `EPERM` and may have been done up to it.
    ///
    /// A kill may fall within a write, so what is written needs something that tells whether it is whole, such as a checksum or
    /// a length that is written last. An instance that was given up may still write for a moment while the next one
    /// reads: its copy is the same memory.
    ///
    /// # Errors
    /// [`SensorError::Name`], [`SensorError::NoRoom`], [`SensorError::TooLarge`], or [`SensorError::Memory`] when there is none.
    pub fn recorder(name: &str, size: usize) -> Result<Self, SensorError> {
        check_size(name, size as u64)?;
        let made = || -> io::Result<OwnedFd> {
            let file = File::from(create()?);
            ftruncate(&file, size as u64)?;
            fcntl_add_seals(&file, SEALS)?;
            Ok(file.into())
        };
        Self::new(name, made().map_err(|source| failed(name, "made", source))?)
    }

    /// How many bytes this recorder has, `None` for any other kind of sensor. Sealed memory in particular is none.
    #[must_use]
    pub fn size_of_recorder(&self) -> Option<u64> {
        size(self.as_fd())
    }
}

/// Refuses memory that is no recorder, or one of a size that none has.
pub(super) fn check(name: &str, fd: BorrowedFd<'_>) -> Result<(), SensorError> {
    let size = size(fd).ok_or_else(|| SensorError::NotSealed { name: name.to_owned() })?;
    check_size(name, size)
}

fn check_size(name: &str, size: u64) -> Result<(), SensorError> {
    match size {
        0 => Err(SensorError::NoRoom { name: name.to_owned() }),
        _ if size > SensorFd::MAX_MEMORY as u64 => Err(too_large(name, size)),
        _ => Ok(()),
    }
}

/// The size of a recorder. Nothing but a file in memory has such seals.
fn size(fd: BorrowedFd<'_>) -> Option<u64> {
    let seals = fcntl_get_seals(fd).ok()?;
    if is_sealed(fd) || !seals.contains(SEALS) || seals.intersects(NOT_WRITABLE) {
        return None;
    }
    u64::try_from(fstat(fd).ok()?.st_size).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use rustix::io::{Errno, FdFlags, fcntl_getfd};

    use super::*;

    fn file_of(sensor: &SensorFd) -> File {
        File::from(sensor.as_fd().try_clone_to_owned().unwrap())
    }

    fn content(sensor: &SensorFd) -> Vec<u8> {
        let mut bytes = vec![7; usize::try_from(sensor.size_of_recorder().unwrap()).unwrap()];
        file_of(sensor).read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// A memfd of this size with these seals, as a sensor.
    fn forged(size: u64, seals: SealFlags) -> Result<SensorFd, SensorError> {
        let file = File::from(create().unwrap());
        ftruncate(&file, size).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        SensorFd::new("pending", file.into())
    }

    #[test]
    fn what_one_writes_is_what_the_holder_of_a_copy_reads() {
        let sensor = SensorFd::recorder("pending", 16).unwrap();
        let copy = sensor.as_fd().try_clone_to_owned().unwrap();
        let next = SensorFd::new("pending", copy).unwrap();
        assert_eq!(next.size_of_recorder(), Some(16));
        assert_eq!(content(&next), [0; 16]);
        file_of(&sensor).write_all_at(b"create", 10).unwrap();
        drop(sensor);
        assert_eq!(content(&next), b"\0\0\0\0\0\0\0\0\0\0create");
        assert!(fcntl_getfd(&next).unwrap().contains(FdFlags::CLOEXEC));
    }

    #[test]
    fn nobody_changes_the_size_of_a_recorder_or_seals_it() {
        let sensor = SensorFd::recorder("pending", 16).unwrap();
        let file = file_of(&sensor);
        for size in [0, 15, 17] {
            assert_eq!(ftruncate(&file, size), Err(Errno::PERM), "{size}");
        }
        for seal in [SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
            assert_eq!(fcntl_add_seals(&file, seal), Err(Errno::PERM), "{seal:?}");
        }
        for place in [10, 16, 5_000] {
            let error = file.write_all_at(b"too long", place).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::PERM.raw_os_error()), "{place}");
        }
        assert_eq!(sensor.size_of_recorder(), Some(16));
    }

    #[test]
    fn a_recorder_of_no_or_too_much_room_is_refused() {
        for size in [1, SensorFd::MAX_MEMORY] {
            let sensor = SensorFd::recorder("pending", size).unwrap();
            assert_eq!(sensor.size_of_recorder(), Some(size as u64));
        }
        let none = "sensor pending is to record into 0 bytes, expected 1 to 268435456";
        assert_eq!(SensorFd::recorder("pending", 0).unwrap_err().to_string(), none);
        assert_eq!(forged(0, SEALS).unwrap_err().to_string(), none);
        let too_large = SensorFd::recorder("pending", SensorFd::MAX_MEMORY + 1).unwrap_err();
        assert!(matches!(too_large, SensorError::TooLarge { .. }), "{too_large}");
        let too_large = forged(SensorFd::MAX_MEMORY as u64 + 1, SEALS).unwrap_err();
        assert!(matches!(too_large, SensorError::TooLarge { .. }), "{too_large}");
        assert!(matches!(SensorFd::recorder("A", 1), Err(SensorError::Name(_))));
    }

    #[test]
    fn only_what_can_be_written_and_not_resized_is_a_recorder() {
        assert_eq!(forged(4, SEALS).unwrap().size_of_recorder(), Some(4));
        for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
            let error = forged(4, SEALS.difference(missing)).unwrap_err();
            assert!(matches!(error, SensorError::NotSealed { .. }), "{missing:?}: {error}");
        }
        assert_eq!(SensorFd::memory("map", b"text").unwrap().size_of_recorder(), None);
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        assert_eq!(SensorFd::new("audit", socket.into()).unwrap().size_of_recorder(), None);
    }
}
