//! Failures of reading a file that pass by themselves, as opposed to what somebody has to mend.
//!
//! Used by every reader of files that are named in a configuration.

use std::io::{Error, ErrorKind};

/// Nobody did anything wrong: descriptors or memory are short, or the file system does not answer just now.
/// The kinds that have no name yet are told by Linux' numbers: ENFILE, EMFILE and EIO.
pub fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::OutOfMemory
            | ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::TimedOut
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::ResourceBusy
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    ) || matches!(error.raw_os_error(), Some(5 | 23 | 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_of_descriptors_passes_and_a_wrong_path_does_not() {
        for errno in [4, 5, 11, 12, 23, 24, 110, 116] {
            assert!(is_passing(&Error::from_raw_os_error(errno)), "{errno}");
        }
        // ENOENT, EACCES, ENOTDIR, EISDIR, ELOOP, ENAMETOOLONG.
        for errno in [2, 13, 20, 21, 40, 36] {
            assert!(!is_passing(&Error::from_raw_os_error(errno)), "{errno}");
        }
    }
}
