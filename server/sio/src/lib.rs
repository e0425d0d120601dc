//! busbar-sio
