//! The native half of the Python package `vae_gpu`: private functions over plain arguments, which `python/vae_gpu` gives names,
//! defaults and docs. The command is in here, too, so that a wheel carries everything once.
//!
//! PyO3 without its macros: these ask `syn` for features that would rebuild every derive of the workspace, and with them burn.
//! What is called from Python is a closure, and a loaded model is a dictionary of closures over it.

mod arrays;
mod errors;
mod model;
mod train;
mod work;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::ptr;

use pyo3::BoundObject;
use pyo3::ffi::{PyModule_Create, PyModuleDef, PyModuleDef_HEAD_INIT, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

/// What Python calls when it imports `vae_gpu._native`.
///
/// # Safety
/// Only the interpreter calls it, which is attached then.
#[expect(
    unsafe_code,
    reason = "the name by which the interpreter finds a module, and its calling convention"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__native() -> *mut PyObject {
    // A panic must not cross into the interpreter; the process ends there, as `extern "C"` says.
    Python::attach(|py| match module(py) {
        Ok(module) => module.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    })
}

/// A module that the interpreter takes for an extension, still empty.
#[expect(
    unsafe_code,
    reason = "only a module with a definition may be returned to the import system"
)]
fn empty_module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let definition = PyModuleDef {
        m_base: PyModuleDef_HEAD_INIT,
        m_name: c"_native".as_ptr(),
        m_doc: ptr::null(),
        // Not to be made twice in a process.
        m_size: -1,
        m_methods: ptr::null_mut(),
        m_slots: ptr::null_mut(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    };
    // SAFETY: the definition lives for ever, as it has to, and a module or null is returned.
    let module = unsafe {
        let module = PyModule_Create(Box::leak(Box::new(definition)));
        Bound::from_owned_ptr_or_err(py, module)?
    };
    Ok(module.cast_into::<PyModule>()?)
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = empty_module(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let settings: Vec<&str> = errors::settings().collect();
    module.add("SETTINGS", PyTuple::new(py, settings)?)?;
    module.add("run_command", function(py, c"run_command", run_command)?)?;
    module.add("sample_shape", function(py, c"sample_shape", sample_shape)?)?;
    module.add("train", function(py, c"train", train::train)?)?;
    module.add("open_run", function(py, c"open_run", model::open)?)?;
    Ok(module)
}

/// A Python function of positional arguments.
fn function<'py, R>(
    py: Python<'py>,
    name: &'static std::ffi::CStr,
    call: impl Fn(&Bound<'_, PyTuple>) -> PyResult<R> + Send + Sync + 'static,
) -> PyResult<Bound<'py, PyCFunction>>
where
    R: for<'p> IntoPyObject<'p>,
{
    let call = move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        let py = arguments.py();
        let returned = call(arguments)?.into_pyobject(py).map_err(Into::into)?;
        Ok::<_, PyErr>(returned.into_any().unbind())
    };
    PyCFunction::new_closure(py, Some(name), None, call)
}

/// `(arguments)`: runs the command, the first argument being the name of the program; returns its exit code.
fn run_command(arguments: &Bound<'_, PyTuple>) -> PyResult<u8> {
    let (words,): (Vec<OsString>,) = arguments.extract()?;
    let code = arguments.py().detach(|| {
        let code = vae_gpu::run(words);
        // What a program of Rust does when it ends. A reader that has gone has seen enough.
        let _ = std::io::stdout().flush();
        code
    });
    // The code can only be compared.
    let is_it = |number: &u8| ExitCode::from(*number) == code;
    Ok((0..=u8::MAX).find(is_it).unwrap_or(1))
}

/// `(name, sizes, size, layout)`: the shape `(channels, height, width)` of one sample in an array of `sizes`, and whether its
/// channels come last.
fn sample_shape(arguments: &Bound<'_, PyTuple>) -> PyResult<([usize; 3], bool)> {
    type Arguments = (String, Vec<usize>, Option<[usize; 2]>, Option<String>);
    let (name, sizes, size, layout): Arguments = arguments.extract()?;
    let layout = layout
        .map(|layout| train::setting("layout", &layout))
        .transpose()?;
    let (_, shape, is_last) =
        vae_data::array_shape(&name, &sizes, size, layout).map_err(errors::raised)?;
    Ok(([shape.channels, shape.height, shape.width], is_last))
}
