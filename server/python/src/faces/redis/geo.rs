//! Places: members of a sorted set with longitude and latitude.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::call::{Call, Special, command, special, word};
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all};

pub(super) static METHODS: &[Special] = &[
    special("geoadd", |args, kwargs| {
        let call = Call::bind("geoadd", &["name", "values", "nx", "xx", "ch"], args, kwargs)?;
        if call.flag("nx")? && call.flag("xx")? {
            return Err(call.wrong("GEOADD allows either 'nx' or 'xx', not both"));
        }
        let mut words = vec![word("GEOADD"), encode(call.required("name")?)?];
        for (name, flag) in [("nx", "NX"), ("xx", "XX"), ("ch", "CH")] {
            call.push_flag(&mut words, name, flag)?;
        }
        let before = words.len();
        encode_all(call.required("values")?, &mut words)?;
        if !(words.len() - before).is_multiple_of(3) {
            return Err(call.wrong("GEOADD requires places with lon, lat and name values"));
        }
        command(words, Shape::Plain)
    }),
    special("geosearch", |args, kwargs| {
        let call = Call::bind("geosearch", &search_names("name", "withcoord"), args, kwargs)?;
        let mut words = vec![word("GEOSEARCH"), encode(call.required("name")?)?];
        push_search(&call, &mut words)?;
        located(&call, words)
    }),
    special("geosearchstore", |args, kwargs| {
        let mut names = vec!["dest"];
        names.extend(search_names("name", "storedist"));
        let call = Call::bind("geosearchstore", &names, args, kwargs)?;
        let mut words = vec![
            word("GEOSEARCHSTORE"),
            encode(call.required("dest")?)?,
            encode(call.required("name")?)?,
        ];
        push_search(&call, &mut words)?;
        call.push_flag(&mut words, "storedist", "STOREDIST")?;
        command(words, Shape::Plain)
    }),
    special("georadius", |args, kwargs| {
        radius("GEORADIUS", &["longitude", "latitude"], args, kwargs)
    }),
    special("georadiusbymember", |args, kwargs| {
        radius("GEORADIUSBYMEMBER", &["member"], args, kwargs)
    }),
];

/// Parameters of a search, in redis-py's order.
fn search_names(key: &'static str, last: &'static str) -> Vec<&'static str> {
    let mut names = vec![
        key,
        "member",
        "longitude",
        "latitude",
        "unit",
        "radius",
        "width",
        "height",
        "sort",
        "count",
        "any",
        last,
    ];
    if last == "withcoord" {
        names.extend(["withdist", "withhash"]);
    }
    names
}

fn push_search(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    match (
        call.optional("member"),
        call.optional("longitude"),
        call.optional("latitude"),
    ) {
        (Some(member), None, None) => words.extend([word("FROMMEMBER"), encode(member)?]),
        (None, Some(longitude), Some(latitude)) => {
            words.extend([word("FROMLONLAT"), encode(longitude)?, encode(latitude)?]);
        }
        (Some(_), ..) => {
            return Err(call.wrong("GEOSEARCH member and longitude or latitude cant be set together"));
        }
        _ => return Err(call.wrong("GEOSEARCH must have member or longitude and latitude")),
    }
    let unit = call.optional("unit").map_or_else(|| Ok(word("m")), encode)?;
    match (call.optional("radius"), call.optional("width"), call.optional("height")) {
        (Some(radius), None, None) => words.extend([word("BYRADIUS"), encode(radius)?, unit]),
        (None, Some(width), Some(height)) => words.extend([word("BYBOX"), encode(width)?, encode(height)?, unit]),
        (Some(_), ..) => return Err(call.wrong("GEOSEARCH radius and width or height cant be set together")),
        _ => return Err(call.wrong("GEOSEARCH must have radius or width and height")),
    }
    push_order(call, "GEOSEARCH", words)
}

fn push_order(call: &Call<'_>, command: &str, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    if let Some(count) = call.optional("count") {
        words.extend([word("COUNT"), encode(count)?]);
        call.push_flag(words, "any", "ANY")?;
    } else if call.flag("any")? {
        return Err(call.wrong(&format!("{command} ``any`` can't be provided without count")));
    }
    match call.optional("sort") {
        None => {}
        Some(order) => match encode(order)?.to_ascii_uppercase().as_slice() {
            order @ (b"ASC" | b"DESC") => words.push(order.to_vec()),
            _ => return Err(call.wrong(&format!("{command} invalid sort: use 'ASC' or 'DESC'"))),
        },
    }
    Ok(())
}

/// What is told of each place besides its name.
fn located(call: &Call<'_>, mut words: Vec<Vec<u8>>) -> PyResult<Command> {
    let before = words.len();
    for (name, flag) in [
        ("withdist", "WITHDIST"),
        ("withcoord", "WITHCOORD"),
        ("withhash", "WITHHASH"),
    ] {
        call.push_flag(&mut words, name, flag)?;
    }
    let shape = if words.len() > before {
        Shape::Places
    } else {
        Shape::Plain
    };
    command(words, shape)
}

fn radius(
    name: &'static str,
    center: &[&'static str],
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let mut names = vec!["name"];
    names.extend(center);
    names.extend([
        "radius",
        "unit",
        "withdist",
        "withcoord",
        "withhash",
        "count",
        "sort",
        "store",
        "store_dist",
        "any",
    ]);
    let call = Call::bind(name, &names, args, kwargs)?;
    let mut words = vec![word(name), encode(call.required("name")?)?];
    for name in center {
        words.push(encode(call.required(name)?)?);
    }
    words.push(encode(call.required("radius")?)?);
    words.push(call.optional("unit").map_or_else(|| Ok(word("m")), encode)?);
    push_order(&call, "GEORADIUS", &mut words)?;
    match (call.optional("store"), call.optional("store_dist")) {
        (Some(_), Some(_)) => Err(call.wrong("GEORADIUS store and store_dist cant be set together")),
        (None, None) => located(&call, words),
        _ => {
            call.push_option(&mut words, "store", "STORE")?;
            call.push_option(&mut words, "store_dist", "STOREDIST")?;
            command(words, Shape::Plain)
        }
    }
}
