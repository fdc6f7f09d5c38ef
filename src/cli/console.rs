//! What commands print. The library's own macros panic when nobody reads what they write.

use std::io::{self, Write};

use anyhow::Context;

/// Prints what a command was asked for. Whoever reads it may have had enough, as `head` has.
///
/// # Errors
/// When it cannot be written for another reason, a full disk say.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("printing to standard output")
        }
        _ => Ok(()),
    }
}

/// Says something about the command itself. Where that fails there is nobody left to be told.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
