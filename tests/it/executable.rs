//! Which program is tested.

use std::fs;
use std::path::{Path, PathBuf};

/// The one that cargo built with the tests, or the one that the variable `MTLS_BRIDGE_PROGRAM` names. `.ci/run`
/// names the released one: what cargo builds for tests has the features that dev-dependencies ask for, too.
pub fn executable() -> PathBuf {
    let Some(said) = std::env::var_os("MTLS_BRIDGE_PROGRAM") else {
        return env!("CARGO_BIN_EXE_mtls-bridge").into();
    };
    // Tests start it in folders of their own.
    fs::canonicalize(Path::new(&said)).unwrap_or_else(|error| panic!("MTLS_BRIDGE_PROGRAM={said:?}: {error}"))
}
