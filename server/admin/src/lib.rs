//! busbar-admin
