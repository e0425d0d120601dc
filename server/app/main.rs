//! busbar
fn main() {}
