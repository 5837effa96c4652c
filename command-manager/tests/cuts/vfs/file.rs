//! The file of the VFS: asks the plan about all that reads or changes content, and passes locks and shared memory on.

use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::slice;
use std::sync::Arc;

use rusqlite::ffi::{self, sqlite3_file};

use super::system;
use crate::plan::Plan;

/// What SQLite has to provide for a file, in bytes.
pub(super) const SIZE: c_int = size_of::<Shim>() as c_int;

/// What SQLite holds: its own part first, as each VFS has it.
#[repr(C)]
struct Shim {
    base: sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    /// The file of the system's VFS, in `_room`.
    real: *mut sqlite3_file,
    /// Words, because it has to be aligned for pointers.
    _room: Vec<u64>,
    plan: Option<Arc<Plan>>,
    path: PathBuf,
}

/// Version 2: without memory-mapped reads, which would pass by the plan.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `file` has room for [`SIZE`] bytes, and `arguments` are those of an `xOpen` of the system's VFS.
pub(super) unsafe fn open(
    file: *mut sqlite3_file,
    (plan, path): (Option<Arc<Plan>>, &Path),
    (name, flags, out_flags): (*const c_char, c_int, *mut c_int),
) -> c_int {
    // SAFETY: the system's file gets as many zeroed bytes as it asks for, and they live as long as the handle. A file
    // without methods is one that SQLite does not close.
    unsafe {
        let words = usize::try_from((*system()).szOsFile).unwrap().div_ceil(size_of::<u64>());
        let mut room = vec![0u64; words];
        let real = room.as_mut_ptr().cast();
        let opened = (*system()).xOpen.unwrap()(system(), name, real, flags, out_flags);
        (*file).pMethods = ptr::null();
        if opened == ffi::SQLITE_OK {
            let handle = Handle { real, _room: room, plan, path: path.to_owned() };
            (*file.cast::<Shim>()).handle = Box::into_raw(Box::new(handle));
            (*file).pMethods = &METHODS;
        }
        opened
    }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed meanwhile.
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a Handle {
    // SAFETY: `open` has put it there, and nothing but `close` takes it away.
    unsafe { &*(*file.cast::<Shim>()).handle }
}

/// Calls a method of the system's file, which has all those of version 2 because it is a file of the Unix VFS.
macro_rules! pass_on {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let real = handle($file).real;
        (*(*real).pMethods).$method.unwrap()(real $(, $argument)*)
    }};
}

/// Defines methods in which the plan has no say.
macro_rules! passed_on {
    ($($name:ident = $method:ident($($argument:ident: $kind:ty),*) $(-> $answer:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) $(-> $answer)? {
            // SAFETY: an open file of ours, and the arguments that SQLite meant for the system's file.
            unsafe { pass_on!(file, $method $(, $argument)*) }
        }
    )*};
}

passed_on! {
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control = xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file of ours, closed once; SQLite does not use it afterwards.
    unsafe {
        let closed = pass_on!(file, xClose);
        drop(Box::from_raw((*file.cast::<Shim>()).handle));
        (*file).pMethods = ptr::null();
        closed
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file of ours, and SQLite provides `amount` bytes.
    unsafe {
        let Handle { plan, path, .. } = handle(file);
        let bytes = slice::from_raw_parts_mut(buffer.cast(), usize::try_from(amount).unwrap());
        let answered = plan.as_ref().and_then(|plan| plan.read(path, bytes, offset));
        answered.unwrap_or_else(|| pass_on!(file, xRead, buffer, amount, offset))
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file of ours, and SQLite provides `amount` bytes.
    unsafe {
        let Handle { plan, path, .. } = handle(file);
        let Some(plan) = plan else { return pass_on!(file, xWrite, buffer, amount, offset) };
        let bytes = slice::from_raw_parts(buffer.cast(), usize::try_from(amount).unwrap());
        plan.write(path, bytes, offset, |bytes: &[u8]| {
            let amount = c_int::try_from(bytes.len()).unwrap();
            pass_on!(file, xWrite, bytes.as_ptr().cast(), amount, offset)
        })
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        let Handle { plan, path, .. } = handle(file);
        let Some(plan) = plan else { return pass_on!(file, xTruncate, size) };
        plan.truncate(path, size, || pass_on!(file, xTruncate, size))
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        let Handle { plan, path, .. } = handle(file);
        let Some(plan) = plan else { return pass_on!(file, xSync, flags) };
        plan.sync(path)
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file of ours, and SQLite provides a place for the answer.
    unsafe {
        let Handle { plan, path, .. } = handle(file);
        let Some(size) = plan.as_ref().and_then(|plan| plan.size(path)) else {
            return pass_on!(file, xFileSize, out);
        };
        *out = size;
        ffi::SQLITE_OK
    }
}
