//! The Python host: the only crate that knows an interpreter.

pub mod environment;
