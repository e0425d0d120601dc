//! busbar-store
