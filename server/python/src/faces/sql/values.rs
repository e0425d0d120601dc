//! Python's values on their way to a database, and rows on their way back.

use busbar_connectors::sql::{Cell, Date, DateTime, Param, Row, Scanned, Slot, Span, SqlFailureClass, Time};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyDict, PyFloat,
    PyFrozenSet, PyInt, PyList, PyMapping, PyMemoryView, PySequence, PySet, PyString, PyTime, PyTimeAccess, PyTuple,
    PyType, PyTzInfo, PyTzInfoAccess,
};

use super::errors::{raise, to_exception};
use crate::json;

static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static READ_DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static UUID: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static JSON_LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn decimal(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    DECIMAL.import(py, "decimal", "Decimal")
}

/// What makes a number of its text. In a context that rounds nothing it is the same number that the class makes, which takes longer, as it
/// finds out first which context the thread has.
fn read_decimal(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let read = READ_DECIMAL.get_or_try_init(py, || {
        let module = py.import(intern!(py, "decimal"))?;
        let options = PyDict::new(py);
        for (option, limit) in [("prec", "MAX_PREC"), ("Emax", "MAX_EMAX"), ("Emin", "MIN_EMIN")] {
            options.set_item(option, module.getattr(limit)?)?;
        }
        options.set_item("traps", [module.getattr("InvalidOperation")?])?;
        let context = module.getattr("Context")?.call((), Some(&options))?;
        Ok::<_, PyErr>(context.getattr("create_decimal")?.unbind())
    })?;
    Ok(read.bind(py))
}

fn uuid(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    UUID.import(py, "uuid", "UUID")
}

fn json_loads(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    JSON_LOADS.import(py, "json", "loads")
}

// === to the database ===

/// The values of a statement's placeholders, in their order.
pub(super) fn list(scanned: &Scanned, parameters: &Bound<'_, PyAny>) -> PyResult<Vec<Param>> {
    let py = parameters.py();
    let wrong = |message: String| raise(py, SqlFailureClass::Programming, message);
    if scanned.slots.is_empty() {
        let given = parameters.len().unwrap_or(0);
        // a dictionary may hold more than a statement asks for
        if given > 0 && !parameters.is_instance_of::<PyDict>() {
            return Err(wrong(format!(
                "the statement has no placeholders, {given} values were given"
            )));
        }
        return Ok(Vec::new());
    }
    let mut values = Vec::with_capacity(scanned.slots.len());
    if matches!(scanned.slots[0], Slot::Name(_)) {
        let mapping = parameters.cast::<PyMapping>().map_err(|_| {
            wrong("the placeholders of the statement have names: give the values in a dictionary".to_owned())
        })?;
        for slot in &scanned.slots {
            if let Slot::Name(name) = slot {
                let value = mapping
                    .get_item(name)
                    .map_err(|_| wrong(format!("no value was given for the placeholder `{name}`")))?;
                values.push(param(&value)?);
            }
        }
        return Ok(values);
    }
    if parameters.is_instance_of::<PyDict>() {
        let message = "the placeholders of the statement have no names: give the values in a list or tuple";
        return Err(wrong(message.to_owned()));
    }
    let needed = scanned
        .slots
        .iter()
        .map(|slot| if let Slot::Place(place) = slot { place + 1 } else { 0 })
        .max()
        .unwrap_or(0);
    let given: Vec<Bound<'_, PyAny>> = match parameters.cast::<PySequence>() {
        Ok(sequence) if !is_one(parameters) => sequence.try_iter()?.collect::<PyResult<_>>()?,
        // one value may stand by itself
        _ if needed == 1 => vec![parameters.clone()],
        _ => return Err(wrong("values of placeholders are given in a list or tuple".to_owned())),
    };
    if given.len() != needed {
        return Err(wrong(format!(
            "the statement has {needed} placeholders, {} values were given",
            given.len()
        )));
    }
    for slot in &scanned.slots {
        if let Slot::Place(place) = slot {
            values.push(param(&given[*place])?);
        }
    }
    Ok(values)
}

/// Whether a sequence is one value of a database.
fn is_one(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
}

/// A value of Python for a database.
fn param(value: &Bound<'_, PyAny>) -> PyResult<Param> {
    let py = value.py();
    if value.is_none() {
        return Ok(Param::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Param::Text(text.to_str()?.to_owned()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Param::Bool(flag.is_true()));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Ok(match number.extract::<i64>() {
            Ok(number) => Param::Int(number),
            // wider than any integer of a database
            Err(_) => Param::Decimal(number.call_method0(intern!(py, "__int__"))?.str()?.to_str()?.to_owned()),
        });
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Param::Float(number.value()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Param::Bytes(bytes.as_bytes().to_vec()));
    }
    if value.is_instance_of::<PyDateTime>() || value.is_instance_of::<PyDate>() {
        return point(value);
    }
    if value.is_instance(decimal(py)?)? {
        return Ok(Param::Decimal(value.str()?.to_str()?.to_owned()));
    }
    if let Ok(time) = value.cast::<PyTime>() {
        return Ok(Param::Time(clock(time, offset(value)?)));
    }
    if let Ok(span) = value.cast::<PyDelta>() {
        return Ok(Param::Span(Span {
            days: span.get_days().into(),
            micros: i64::from(span.get_seconds()) * 1_000_000 + i64::from(span.get_microseconds()),
        }));
    }
    if value.is_instance(uuid(py)?)? {
        return Ok(Param::Uuid(value.getattr(intern!(py, "bytes"))?.extract()?));
    }
    if value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>() {
        let bytes = py.get_type::<PyBytes>().call1((value,))?;
        return Ok(Param::Bytes(bytes.extract()?));
    }
    let is_list = value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>();
    if is_list || value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
        let items = value.try_iter()?.map(|item| param(&item?)).collect::<PyResult<_>>()?;
        return Ok(Param::List(items));
    }
    if value.is_instance_of::<PyDict>() {
        let text = String::from_utf8(json::write(value)?).map_err(|error| {
            raise(
                py,
                SqlFailureClass::Data,
                format!("a dict cannot be given as JSON: {error}"),
            )
        })?;
        return Ok(Param::Json(text));
    }
    let message = format!(
        "a value of type `{}` cannot be given to a database; give text, a number, bytes, a date, a UUID, a list or a dict",
        value.get_type().name()?
    );
    Err(raise(py, SqlFailureClass::Programming, message))
}

fn point(value: &Bound<'_, PyAny>) -> PyResult<Param> {
    let day = |date: &dyn Fn() -> (i32, u8, u8)| {
        let (year, month, day) = date();
        Date { year, month, day }
    };
    if let Ok(point) = value.cast::<PyDateTime>() {
        let date = day(&|| (point.get_year(), point.get_month(), point.get_day()));
        let time = clock(
            point,
            if point.get_tzinfo().is_some() {
                offset(value)?
            } else {
                None
            },
        );
        return Ok(Param::DateTime(DateTime { date, time }));
    }
    let date = value.cast::<PyDate>()?;
    Ok(Param::Date(day(&|| {
        (date.get_year(), date.get_month(), date.get_day())
    })))
}

fn clock(time: &impl PyTimeAccess, offset: Option<i32>) -> Time {
    Time {
        hour: time.get_hour(),
        minute: time.get_minute(),
        second: time.get_second(),
        micro: time.get_microsecond(),
        offset,
    }
}

/// Seconds east of UTC.
fn offset(value: &Bound<'_, PyAny>) -> PyResult<Option<i32>> {
    let offset = value.call_method0(intern!(value.py(), "utcoffset"))?;
    if offset.is_none() {
        return Ok(None);
    }
    let offset = offset.cast::<PyDelta>()?;
    Ok(Some(offset.get_days() * 86_400 + offset.get_seconds()))
}

// === from the database ===

/// What JSON becomes.
#[derive(Clone, Copy)]
pub(super) enum JsonForm<'a> {
    /// What it stands for.
    Objects,
    /// Its text.
    Text,
    /// What a function of the user's makes of its text.
    Read(&'a Py<PyAny>),
}

/// A row as a tuple.
pub(super) fn tuple<'py>(py: Python<'py>, row: Row<'_>, json: JsonForm<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let width = row.len() as ffi::Py_ssize_t;
    // filled where it is: to make it of a list of its values takes as long again
    // SAFETY: it is a new tuple, or null and an exception
    let tuple = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(width))?.cast_into_unchecked::<PyTuple>() };
    let mut is_flat = true;
    for index in 0..row.len() {
        // looked at where it lies: to move it costs more
        let value = match &row.cell(index) {
            Ok(cell) => object(py, cell, json)?,
            Err(failure) => return Err(to_exception(py, failure)),
        };
        // SAFETY: the object is alive, and so is its type; the place is within the tuple and empty, and nobody else has the tuple
        unsafe {
            is_flat &= ffi::PyType_IS_GC(ffi::Py_TYPE(value.as_ptr())) == 0;
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as ffi::Py_ssize_t, value.into_ptr());
        }
    }
    if is_flat {
        // what holds nothing that could hold it is never garbage in a circle: the collector would find that out by itself, by walking
        // through all of them, time and again while there are more and more
        // SAFETY: nobody else has seen the tuple yet
        unsafe { ffi::PyObject_GC_UnTrack(tuple.as_ptr().cast()) };
    }
    Ok(tuple)
}

/// An object of Python for a value. What most values are is made here, where the compiler sees that no `Cell` needs to be put together.
#[inline(always)]
fn object<'py>(py: Python<'py>, cell: &Cell<'_>, json: JsonForm<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match cell {
        Cell::Null => py.None().into_bound(py),
        Cell::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Cell::Int(value) => value.into_pyobject(py)?.into_any(),
        Cell::Float(value) => PyFloat::new(py, *value).into_any(),
        Cell::Text(text) => PyString::new(py, text).into_any(),
        Cell::Decimal(text) => read_decimal(py)?.call1((&**text,))?,
        Cell::Date(date) => PyDate::new(py, date.year, date.month, date.day)?.into_any(),
        Cell::DateTime(point) => point_in_time(py, *point)?,
        _ => rare(py, cell, json)?,
    })
}

fn point_in_time(py: Python<'_>, DateTime { date, time }: DateTime) -> PyResult<Bound<'_, PyAny>> {
    let zone = zone(py, time.offset)?;
    let point = PyDateTime::new(
        py,
        date.year,
        date.month,
        date.day,
        time.hour,
        time.minute,
        time.second,
        time.micro,
        zone.as_ref(),
    )?;
    Ok(point.into_any())
}

/// The same for what few values are.
#[inline(never)]
fn rare<'py>(py: Python<'py>, cell: &Cell<'_>, json: JsonForm<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match cell {
        Cell::UInt(value) => value.into_pyobject(py)?.into_any(),
        Cell::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Cell::Time(time) => {
            let zone = zone(py, time.offset)?;
            PyTime::new(py, time.hour, time.minute, time.second, time.micro, zone.as_ref())?.into_any()
        }
        Cell::Span(span) => delta(py, *span)?,
        Cell::Uuid(bytes) => {
            let arguments = PyDict::new(py);
            arguments.set_item(intern!(py, "int"), u128::from_be_bytes(*bytes))?;
            uuid(py)?.call((), Some(&arguments))?
        }
        Cell::Json(text) => {
            let as_text = || PyString::new(py, &String::from_utf8_lossy(text));
            match json {
                JsonForm::Text => as_text().into_any(),
                JsonForm::Read(loads) => loads.bind(py).call1((as_text(),))?,
                JsonForm::Objects => match json::read(py, text) {
                    Ok(value) => value,
                    // half of a pair of surrogates, or depths, at which only Python's own reader does not take offence
                    Err(_) => json_loads(py)?.call1((as_text(),)).map_err(|error| {
                        raise(
                            py,
                            SqlFailureClass::Data,
                            format!("JSON of the database cannot be read: {error}"),
                        )
                    })?,
                },
            }
        }
        Cell::List(cells) => {
            let list = PyList::empty(py);
            for cell in cells {
                list.append(object(py, cell, json)?)?;
            }
            list.into_any()
        }
        Cell::Null
        | Cell::Bool(_)
        | Cell::Int(_)
        | Cell::Float(_)
        | Cell::Text(_)
        | Cell::Decimal(_)
        | Cell::Date(_)
        | Cell::DateTime(_) => object(py, cell, json)?,
    })
}

fn delta<'py>(py: Python<'py>, span: Span) -> PyResult<Bound<'py, PyAny>> {
    const DAY: i64 = 86_400_000_000;
    let days = span.days + span.micros.div_euclid(DAY);
    let micros = span.micros.rem_euclid(DAY);
    let days = i32::try_from(days).ok().filter(|days| days.abs() <= 999_999_999);
    let days = days.ok_or_else(|| {
        raise(
            py,
            SqlFailureClass::Data,
            "an interval is longer than a timedelta can be",
        )
    })?;
    let seconds = (micros / 1_000_000) as i32;
    Ok(PyDelta::new(py, days, seconds, (micros % 1_000_000) as i32, false)?.into_any())
}

fn zone<'py>(py: Python<'py>, offset: Option<i32>) -> PyResult<Option<Bound<'py, PyTzInfo>>> {
    Ok(match offset {
        None => None,
        Some(0) => Some(PyTzInfo::utc(py)?.to_owned()),
        Some(offset) => Some(PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, offset, 0, true)?)?),
    })
}
