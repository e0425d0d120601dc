//! busbar-broker
