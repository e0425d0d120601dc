//! What all calls of one process share.
