//! The link between the hub and one worker process: a Unix socket pair that carries length-delimited frames, many calls in flight at
//! once, each under a number.
//!
//! * [`frame`] - the frames and their layout
//! * [`hub`] - the hub's end: asynchronous, one reader and one writer task
//! * [`worker`] - the worker's end: a reader thread; whichever thread has an answer writes it

pub mod frame;
pub mod hub;
pub mod worker;
