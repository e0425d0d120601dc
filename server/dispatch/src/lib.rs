//! busbar-dispatch
