//! What the operator asks: the status listener. The Kong-shaped Admin API comes with the
//! declarative file.

pub mod status;
