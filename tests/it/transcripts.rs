//! The command lines of `tests/cmd`, with what they print and their exit codes.

use std::path::Path;

use crate::executable::executable;

#[test]
fn the_commands_say_what_their_transcripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let is_transcript = |path: &Path| path.extension().is_some_and(|extension| extension == "trycmd");
    let found = folder.read_dir().unwrap().filter(|entry| is_transcript(&entry.as_ref().unwrap().path()));
    assert!(found.count() >= 4, "transcripts are missing in {}", folder.display());
    let cases = trycmd::TestCases::new();
    cases.register_bin("mtls-bridge", executable());
    // Help is folded to this width, whatever the terminal's.
    cases.env("COLUMNS", "100").case(folder.join("*.trycmd"));
    cases.run();
}
