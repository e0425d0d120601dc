//! busbar-connectors
