//! busbar-testkit
