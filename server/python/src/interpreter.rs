//! Starts CPython inside this process, once.
//!
//! The interpreter is the one whose library the executable is linked with; nothing is taken from the `python3` on the path. It never
//! ends before the process does: threads of services may run until then.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use busbar_model::{Error, Kind};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::sync::lock;

/// Seconds after which a thread that waits for the interpreter asks for it. Ten times shorter than Python's own default: a computing
/// call then delays the short ones by half a millisecond.
const SWITCH_INTERVAL: f64 = 0.0005;

/// How the interpreter is set up. Only the first start in a process counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// Directory of a virtual environment whose packages services can import.
    pub venv: Option<PathBuf>,
    /// Directory that holds the `zato` and `busbar` packages.
    pub package_dir: PathBuf,
}

/// Starts the interpreter, unless it runs already, and makes the packages importable.
pub(crate) fn start(setup: &Setup) -> Result<(), Error> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = lock(&STARTED);
    if !*started {
        // SAFETY: asks whether somebody else (a test) has started it
        if unsafe { ffi::Py_IsInitialized() } == 0 {
            initialize(setup)?;
        }
        *started = true;
    }
    drop(started);
    Python::attach(|py| furnish(py, setup)).map_err(|error| {
        Error::new(Kind::Config, "cannot set the Python interpreter up")
            .with_source(std::io::Error::other(error.to_string()))
    })
}

/// Version of the interpreter: `3.11.7`.
pub(crate) fn version() -> String {
    Python::attach(|py| {
        let info = py.version_info();
        format!("{}.{}.{}", info.major, info.minor, info.patch)
    })
}

fn initialize(setup: &Setup) -> Result<(), Error> {
    let executable = match &setup.venv {
        Some(venv) => venv_executable(venv)?,
        None => base_executable().ok_or_else(|| {
            Error::new(
                Kind::Config,
                "cannot find the Python that belongs to the Python library of this executable",
            )
            .with_hint("install the `python3` package of the same version")
        })?,
    };
    let executable = c_string(executable.as_os_str())?;

    // SAFETY: the structures are initialised by Python before they are read; all pointers outlive the calls; the interpreter has not
    // been started, and nobody else can start it while the lock of `start` is held
    unsafe {
        let mut preconfig = std::mem::zeroed::<ffi::PyPreConfig>();
        ffi::PyPreConfig_InitPythonConfig(&raw mut preconfig);
        preconfig.parse_argv = 0;
        preconfig.utf8_mode = 1;
        check(ffi::Py_PreInitialize(&raw const preconfig))?;

        let mut config = std::mem::zeroed::<ffi::PyConfig>();
        ffi::PyConfig_InitPythonConfig(&raw mut config);
        let result =
            configure(&mut config, &executable).and_then(|()| check(ffi::Py_InitializeFromConfig(&raw const config)));
        ffi::PyConfig_Clear(&raw mut config);
        result?;
    }
    // this thread is attached now. `threading` takes the thread that imports it first for the main one, so import it here.
    // SAFETY: the interpreter is held by this thread, and is released at the end
    unsafe {
        let threading = ffi::PyImport_ImportModule(c"threading".as_ptr());
        if threading.is_null() {
            ffi::PyErr_Clear();
        } else {
            ffi::Py_DECREF(threading);
        }
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

/// # Safety
/// `config` was initialised by Python.
unsafe fn configure(config: &mut ffi::PyConfig, executable: &CStr) -> Result<(), Error> {
    // signals belong to busbar; whatever kills the process leaves a stack in its standard error
    config.install_signal_handlers = 0;
    config.faulthandler = 1;
    config.parse_argv = 0;
    // the name from which Python finds its library, and a virtual environment around it; also what `multiprocessing` and services start
    // when they start "Python", which must not be busbar again
    let pointer: *mut ffi::PyConfig = config;
    // SAFETY: the fields belong to the same initialised structure, texts end in NUL
    unsafe {
        for field in [&raw mut (*pointer).program_name, &raw mut (*pointer).executable] {
            check(ffi::PyConfig_SetBytesString(pointer, field, executable.as_ptr()))?;
        }
        let arguments: [*const c_char; 1] = [c"busbar".as_ptr()];
        check(ffi::PyConfig_SetBytesArgv(
            pointer,
            1,
            arguments.as_ptr().cast_mut().cast(),
        ))
    }
}

fn check(status: ffi::PyStatus) -> Result<(), Error> {
    // SAFETY: a status is plain data, its texts are static
    let (failed, message) = unsafe {
        let message = if status.err_msg.is_null() {
            "no message".into()
        } else {
            CStr::from_ptr(status.err_msg).to_string_lossy()
        };
        (ffi::PyStatus_Exception(status) != 0, message)
    };
    if failed {
        return Err(Error::new(
            Kind::Config,
            format!("cannot start the Python interpreter: {message}"),
        ));
    }
    Ok(())
}

fn furnish(py: Python<'_>, setup: &Setup) -> PyResult<()> {
    crate::faces::install(py)?;
    let sys = py.import("sys")?;
    sys.call_method1("setswitchinterval", (SWITCH_INTERVAL,))?;
    let path = sys.getattr("path")?.cast_into::<PyList>()?;
    if let Some(venv) = &setup.venv {
        // the interpreter finds it by itself when it was started for this environment
        let packages = venv.join(site_packages(py));
        if !path.contains(packages.as_os_str())? {
            py.import("site")?.call_method1("addsitedir", (packages.as_os_str(),))?;
        }
    }
    // last, so that our `bunch` or `anyjson` does not shadow an installed one
    if !setup.package_dir.as_os_str().is_empty() && !path.contains(setup.package_dir.as_os_str())? {
        // as text: the import system passes over `pathlib` objects
        path.append(setup.package_dir.as_os_str())?;
    }
    Ok(())
}

fn site_packages(py: Python<'_>) -> String {
    let version = py.version_info();
    format!("lib/python{}.{}/site-packages", version.major, version.minor)
}

/// The Python of a virtual environment, if it is one that fits.
fn venv_executable(venv: &Path) -> Result<PathBuf, Error> {
    let shown = venv.display();
    let missing = |what: &str| {
        Error::new(Kind::Config, format!("`{shown}` is not a virtual environment: {what}"))
            .with_hint("make one with `python3 -m venv DIRECTORY`, or leave `venv` out")
    };
    let settings = std::fs::read_to_string(venv.join("pyvenv.cfg"))
        .map_err(|error| missing("it has no `pyvenv.cfg`").with_source(error))?;
    let ours = linked_version();
    let theirs = settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(key, value)| {
            // `python -m venv` and `virtualenv` spell it differently
            matches!(key.trim(), "version" | "version_info").then(|| value.trim())
        });
    if let Some(theirs) = theirs
        && theirs != ours
        && !theirs.starts_with(&format!("{ours}."))
    {
        return Err(Error::new(
            Kind::Config,
            format!(
                "the virtual environment `{shown}` was made for Python {theirs}, this executable runs Python {ours}"
            ),
        )
        .with_hint(format!("make it anew with `python{ours} -m venv DIRECTORY`")));
    }
    let executable = venv.join("bin/python");
    if executable.exists() {
        Ok(executable)
    } else {
        Err(missing("it has no `bin/python`"))
    }
}

/// Version of the library: `3.11`.
fn linked_version() -> String {
    // SAFETY: a static text, there before the interpreter is started
    let version = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
    version.split(['.', ' ']).take(2).collect::<Vec<_>>().join(".")
}

/// The program that belongs to the library which this process has loaded.
fn base_executable() -> Option<PathBuf> {
    let name = format!("bin/python{}", linked_version());
    let beside = |library: PathBuf| {
        library
            .ancestors()
            .skip(1)
            .map(|parent| parent.join(&name))
            .find(|path| path.exists())
    };
    library_path().and_then(beside).or_else(|| {
        option_env!("BUSBAR_PYTHON")
            .map(PathBuf::from)
            .filter(|path| path.exists())
    })
}

/// The file that Python's functions were loaded from.
fn library_path() -> Option<PathBuf> {
    // SAFETY: asks for the file of a function of ours that exists; the name is copied before anything could unload it
    unsafe {
        let mut found = std::mem::zeroed::<libc::Dl_info>();
        let address = ffi::Py_IsInitialized as *const libc::c_void;
        if libc::dladdr(address, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        let name = Path::new(OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes())).to_owned();
        std::fs::canonicalize(name).ok()
    }
}

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes())
        .map_err(|error| Error::new(Kind::Config, format!("`{}` is not a path", text.display())).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_a_proper_one() {
        start(&Setup::default()).unwrap();
        start(&Setup::default()).unwrap();
        Python::attach(|py| {
            let sys = py.import("sys").unwrap();
            let executable: PathBuf = sys.getattr("executable").unwrap().extract().unwrap();
            // services that start "Python" must not start busbar again
            let output = std::process::Command::new(&executable)
                .args(["-c", "import sys; print(sys.version)"])
                .output()
                .unwrap();
            let version = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                version.trim(),
                sys.getattr("version").unwrap().extract::<String>().unwrap()
            );
            assert_eq!(
                sys.getattr("flags")
                    .unwrap()
                    .getattr("utf8_mode")
                    .unwrap()
                    .extract::<i32>()
                    .unwrap(),
                1
            );
            let interval: f64 = sys.call_method0("getswitchinterval").unwrap().extract().unwrap();
            assert!((interval - SWITCH_INTERVAL).abs() < 1e-6);
            let faulthandler = py.import("faulthandler").unwrap();
            assert!(faulthandler.call_method0("is_enabled").unwrap().is_truthy().unwrap());
            // what a service would find in the directory that the server was started in must not be importable by chance
            let path: Vec<String> = sys.getattr("path").unwrap().extract().unwrap();
            assert!(!path.iter().any(|entry| entry.is_empty() || entry == "."), "{path:?}");
        });
    }

    #[test]
    fn a_virtual_environment_that_does_not_fit_is_refused() {
        let error = venv_executable(Path::new("/no/such/directory")).unwrap_err();
        assert!(error.message().contains("it has no `pyvenv.cfg`"), "{error}");
        let directory = std::env::temp_dir().join(format!("busbar-venv-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("pyvenv.cfg"), "home = /usr/bin\nversion = 2.7.18\n").unwrap();
        let error = venv_executable(&directory).unwrap_err();
        assert!(error.message().contains("was made for Python 2.7.18"), "{error}");
        std::fs::write(
            directory.join("pyvenv.cfg"),
            format!("version = {}.9\n", linked_version()),
        )
        .unwrap();
        let error = venv_executable(&directory).unwrap_err();
        assert!(error.message().contains("it has no `bin/python`"), "{error}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
