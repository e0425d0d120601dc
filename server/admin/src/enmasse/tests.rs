//! Import and export, all the way.
