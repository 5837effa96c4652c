//! Memory as a sensor: what the next instance needs to understand its queues, and is not worth a disk write.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::Errno;

use super::{SensorError, SensorFd};

/// Nobody who has a copy can change what was written, nor allow it again.
const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

/// What the link of a memfd in `/proc` begins with.
pub(super) const LINK: &str = "/memfd:";

impl SensorFd {
    /// The most bytes that memory can have: the map of a million watches fits, and whoever reads it is not drowned.
    pub const MAX_MEMORY: usize = 256 * 1024 * 1024;

    /// Makes a sensor of a copy of `bytes`: a memfd, sealed so that the next instance reads exactly this or nothing.
    ///
    /// It costs memory as long as it is kept, in the agent and with the service manager, and is gone after a reboot. For what has
    /// to survive that there is [`Module::save_state`](crate::Module::save_state).
    ///
    /// # Errors
    /// [`SensorError::Name`], [`SensorError::TooLarge`], or [`SensorError::Memory`] when there is none.
    pub fn memory(name: &str, bytes: &[u8]) -> Result<Self, SensorError> {
        if bytes.len() > Self::MAX_MEMORY {
            return Err(too_large(name, bytes.len() as u64));
        }
        let made = || -> io::Result<OwnedFd> {
            let mut file = File::from(create()?);
            file.write_all(bytes)?;
            fcntl_add_seals(&file, SEALS)?;
            Ok(file.into())
        };
        Self::new(name, made().map_err(|source| failed(name, "made", source))?)
    }

    /// What [`SensorFd::memory`] was given. Any number of copies may be read, in any order.
    ///
    /// # Errors
    /// [`SensorError::NotMemory`] for another kind of sensor, a [recorder](SensorFd::recorder) among them, [`SensorError::TooLarge`], [`SensorError::Memory`].
    pub fn read_memory(&self) -> Result<Vec<u8>, SensorError> {
        // Neither the size nor the content can change under the reader.
        if !is_sealed(self.as_fd()) {
            return Err(SensorError::NotMemory { name: self.name.clone() });
        }
        let failed = |source| failed(&self.name, "read", source);
        let size = fstat(&self.fd).map_err(|error| failed(error.into()))?.st_size;
        let size = u64::try_from(size).unwrap_or(0);
        let fits = usize::try_from(size).ok().filter(|size| *size <= Self::MAX_MEMORY);
        let mut bytes = vec![0; fits.ok_or_else(|| too_large(&self.name, size))?];
        let file = File::from(self.fd.try_clone().map_err(failed)?);
        // At a place of its own: all copies share one position.
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Ok(bytes)
    }
}

/// Whether the content behind `fd` can never change again. Nothing but a file in memory can be sealed.
pub(super) fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SEALS))
}

pub(super) fn create() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("wazuh-agent", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3; later a machine may demand it.
        Err(Errno::INVAL) => memfd_create("wazuh-agent", flags),
        made => made,
    }
}

pub(super) fn too_large(name: &str, bytes: u64) -> SensorError {
    SensorError::TooLarge { name: name.to_owned(), bytes }
}

pub(super) fn failed(name: &str, action: &'static str, source: io::Error) -> SensorError {
    SensorError::Memory { name: name.to_owned(), action, source }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::os::fd::AsRawFd;

    use proptest::prelude::*;
    use rustix::fs::ftruncate;
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    /// Memory with these seals alone, as a sensor.
    fn with_seals(seals: SealFlags) -> Result<SensorFd, SensorError> {
        let mut file = File::from(create().unwrap());
        file.write_all(b"forged").unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        SensorFd::new("map", file.into())
    }

    proptest! {
        #[test]
        fn memory_of_any_size_is_read_as_it_was_written_from_every_copy(
            size in prop_oneof![Just(0), Just(1), 4_094_usize..4_099, 0_usize..300_000],
            seed: u8,
            position: u64,
        ) {
            let step = usize::from(seed) + 1;
            let bytes: Vec<u8> = (0..size).map(|place| (place / step) as u8 ^ seed).collect();
            let sensor = SensorFd::memory("map", &bytes).unwrap();
            let copy = sensor.as_fd().try_clone_to_owned().unwrap();
            // Whoever had it before may have left the common position anywhere.
            let mut file = File::from(copy.try_clone().unwrap());
            file.seek(SeekFrom::Start(position >> 1)).unwrap();
            prop_assert_eq!(&SensorFd::new("map", copy).unwrap().read_memory().unwrap(), &bytes);
            prop_assert_eq!(&sensor.read_memory().unwrap(), &bytes);
        }
    }

    #[test]
    fn nobody_changes_what_was_handed_out() {
        let sensor = SensorFd::memory("map", b"1 /etc\n").unwrap();
        assert!(fcntl_getfd(&sensor).unwrap().contains(FdFlags::CLOEXEC));
        let mut copy = File::from(sensor.as_fd().try_clone_to_owned().unwrap());
        copy.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(
            copy.write_all(b"2").unwrap_err().raw_os_error(),
            Some(Errno::PERM.raw_os_error())
        );
        for size in [0, 100] {
            assert_eq!(ftruncate(&copy, size), Err(Errno::PERM), "{size}");
        }
        assert_eq!(fcntl_add_seals(&copy, SealFlags::FUTURE_WRITE), Err(Errno::PERM));
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let mut again = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        assert!(again.write_all(b"2").is_err());
        assert_eq!(sensor.read_memory().unwrap(), b"1 /etc\n");
    }

    #[test]
    fn memory_that_lacks_a_seal_is_refused() {
        assert_eq!(with_seals(SEALS).unwrap().read_memory().unwrap(), b"forged");
        for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
            let error = with_seals(SEALS.difference(missing)).unwrap_err();
            assert!(matches!(error, SensorError::NotSealed { .. }), "{missing:?}: {error}");
            assert!(error.to_string().contains("sensor map"), "{error}");
        }
        // This is a recorder, whose content nobody can rely on while it is read.
        let recorder = with_seals(SEALS.difference(SealFlags::WRITE)).unwrap();
        assert!(matches!(recorder.read_memory(), Err(SensorError::NotMemory { .. })));
        // Somebody may still write through a mapping that is older than this seal.
        let future = SEALS.difference(SealFlags::WRITE) | SealFlags::FUTURE_WRITE;
        assert!(matches!(with_seals(future), Err(SensorError::NotSealed { .. })));
    }

    #[test]
    fn what_is_too_large_is_refused_before_any_of_it_is_read() {
        let file = File::from(create().unwrap());
        // Sparse, so that it costs nothing.
        ftruncate(&file, SensorFd::MAX_MEMORY as u64 + 1).unwrap();
        fcntl_add_seals(&file, SEALS).unwrap();
        let error = SensorFd::new("map", file.into()).unwrap().read_memory().unwrap_err();
        let expected = "sensor map has 268435457 bytes, at most 268435456 can be handed over";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_socket_has_no_memory_to_read() {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let error = SensorFd::new("audit", socket.into()).unwrap().read_memory().unwrap_err();
        assert!(matches!(error, SensorError::NotMemory { .. }), "{error}");
        assert!(matches!(SensorFd::memory("A", b""), Err(SensorError::Name(_))));
    }
}
