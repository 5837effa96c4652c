//! An SQLite VFS over that of the system, in which a [`Plan`] counts, refuses or cuts what changes the files of a folder.
#![expect(unsafe_code, reason = "SQLite takes a VFS as tables of C functions")]

mod file;

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex, Once};

use rusqlite::ffi;

use crate::plan::Plan;

/// The plan of each watched folder. Everything in other folders is passed on untouched, so that tests of one process
/// do not disturb each other.
static PLANS: LazyLock<Mutex<HashMap<PathBuf, Arc<Plan>>>> = LazyLock::new(Mutex::default);

/// Lets `plan` watch what SQLite does in a folder, until it is dropped. Files that are open then stay with the plan.
pub(crate) struct Watch {
    folder: PathBuf,
    pub(crate) plan: Arc<Plan>,
}

impl Watch {
    pub(crate) fn start(folder: &Path, plan: Plan) -> Self {
        register();
        // SQLite resolves links before it asks the VFS.
        let (folder, plan) = (folder.canonicalize().unwrap(), Arc::new(plan));
        let before = PLANS.lock().unwrap().insert(folder.clone(), Arc::clone(&plan));
        assert!(before.is_none(), "{} is watched already", folder.display());
        Self { folder, plan }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        PLANS.lock().unwrap().remove(&self.folder);
    }
}

fn plan_of(path: &Path) -> Option<Arc<Plan>> {
    PLANS.lock().unwrap().get(path.parent()?).cloned()
}

/// Makes this VFS the default of the process. The journal under test opens its file like any other program.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the VFS of the system is static. Ours is never freed, names a static text, and its functions keep
        // the contract of `sqlite3_vfs`. Those that are taken over from the system do not look at their first
        // argument on Unix.
        let registered = unsafe {
            let ours = ffi::sqlite3_vfs {
                szOsFile: file::SIZE,
                pNext: ptr::null_mut(),
                zName: c"cuts".as_ptr(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xRandomness: Some(randomness),
                ..*system()
            };
            ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1)
        };
        assert_eq!(registered, ffi::SQLITE_OK);
    });
}

fn system() -> *mut ffi::sqlite3_vfs {
    // SAFETY: initialises the library if need be; the name is a C string.
    let system = unsafe {
        ffi::sqlite3_initialize();
        ffi::sqlite3_vfs_find(c"unix".as_ptr())
    };
    assert!(!system.is_null(), "SQLite has a VFS for Unix");
    system
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: a C string, as the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes null, for a nameless temporary file, or a C string.
    let path = unsafe { path_of(name) };
    let plan = path.as_deref().and_then(plan_of);
    let path = path.unwrap_or_default();
    // SAFETY: SQLite provides `szOsFile` bytes at `file`, and the other arguments are those that the system's VFS takes.
    let open_real = || unsafe { file::open(file, (plan.clone(), &path), (name, flags, out_flags)) };
    match &plan {
        Some(plan) => plan.open(&path, flags & ffi::SQLITE_OPEN_CREATE != 0, open_real),
        None => open_real(),
    }
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite passes a C string.
    let path = unsafe { path_of(name) }.unwrap_or_default();
    // SAFETY: the function of the system with the arguments that were meant for it. The sync is left out in watched
    // folders, see `Plan`.
    let real = |sync| unsafe { (*system()).xDelete.unwrap()(system(), name, sync) };
    match plan_of(&path) {
        Some(plan) => plan.delete(&path, sync_folder & 1 != 0, || real(0)),
        None => real(sync_folder),
    }
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a C string.
    let path = unsafe { path_of(name) }.unwrap_or_default();
    if flags == ffi::SQLITE_ACCESS_EXISTS
        && let Some(exists) = plan_of(&path).and_then(|plan| plan.has_content(&path))
    {
        // SAFETY: SQLite passes a place for the answer.
        unsafe { *out = c_int::from(exists) };
        return ffi::SQLITE_OK;
    }
    // SAFETY: the function of the system with the arguments that were meant for it.
    unsafe { (*system()).xAccess.unwrap()(system(), name, flags, out) }
}

/// Always the same bytes. SQLite puts random numbers into each log, and a history has to leave the same files each time.
unsafe extern "C" fn randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite provides `count` bytes.
    unsafe { out.write_bytes(7, usize::try_from(count).unwrap()) };
    count
}
