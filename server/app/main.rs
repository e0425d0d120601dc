//! busbar: an enterprise service bus for Python developers.
//!
//! * [`cli`] - the command line
//! * [`hub`] - a server's hub: built, answering, drained
//! * [`node`] - the parts of a server, put together
//! * [`worker`] - a worker process
//! * [`openapi`] - the channels, as the OpenAPI document tells of them
//! * [`registry`] - the one list of object types
//! * [`config`], [`directory`], [`odb`], [`package`], [`logging`], [`control`] - what these need

mod cli;
mod config;
mod control;
mod directory;
mod hub;
mod logging;
mod node;
mod object_files;
mod odb;
mod openapi;
mod package;
mod registry;
mod user;
mod worker;

/// What a request needs is allocated by one thread and freed by another: the C library's allocator takes longer with that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
