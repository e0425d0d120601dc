//! Tests against the real executable.

fn main() {}
