//! The walls of the house: what `lib.rs` and docs/architecture.md promise about `src`.

use std::fs;
use std::path::{Path, PathBuf};

/// A room names only rooms to its left.
const LAYERS: &[&str] = &[
    "lifecycle",
    "telemetry",
    "identity",
    "message",
    "pki",
    "routing",
    "tls",
    "policy",
    "config",
    "snapshot",
    "proxy",
    "server",
    "admin",
    "app",
    "cli",
];

/// Who may put the text of an error into a sentence, and whose it is. A library's text may quote its input, which
/// may be a secret or a stranger's: it goes through `telemetry::cause`, or becomes words of our own.
const TELLS_ERRORS: &[(&str, &str)] = &[
    ("app.rs", "the system's"),
    ("cli.rs", "what the commands made of it"),
    ("cli/echo.rs", "the system's"),
    ("cli/healthcheck.rs", "the system's"),
    ("cli/pair/chains.rs", "ours: telemetry::cause"),
    ("config/declarative/certificate.rs", "ours: PemError, CaError"),
    ("policy/header_cert_auth.rs", "ours: PemError, Malformed"),
    ("proxy.rs", "ours: UpstreamError"),
    ("proxy/body.rs", "ours: telemetry::cause"),
    ("proxy/error.rs", "ours, and the system's"),
    ("proxy/health/probe.rs", "ours: UpstreamError"),
    ("proxy/pump.rs", "ours: telemetry::cause"),
    ("routing/path_pattern.rs", "the last line of regex-syntax, which is fixed words"),
    ("server/handshake.rs", "ours: Malformed"),
    ("server/keep_open.rs", "ours: UpstreamError"),
    ("server/listener.rs", "the system's"),
    ("server/worker.rs", "the system's"),
    ("snapshot/access.rs", "ours: CaError, CrlError"),
    ("snapshot/authorities.rs", "ours: CaError"),
    ("snapshot/declared.rs", "ours: PemError, CredentialError"),
    ("snapshot/declared/access.rs", "ours: CaError"),
    ("snapshot/declared/names.rs", "ours, and of a DNS name: fixed words"),
    ("snapshot/files.rs", "ours: PemError, CredentialError"),
    ("snapshot/listener.rs", "ours: TooManyNames"),
    ("telemetry/cause.rs", "those that are fixed words"),
    ("telemetry/output.rs", "the system's"),
    ("tls/revocation/fetch.rs", "ours, and the system's"),
];

/// How an error gets into a sentence.
const TELLING: &[&str] = &[
    "error.to_string()",
    "err.to_string()",
    "e.to_string()",
    "{error}",
    "{error:",
    "{err}",
    "{err:",
    "{e}",
    "{e:",
    "{cause}",
    "{source}",
    "%error",
    "?error",
];

/// Values in, values out.
const PURE: &[&str] = &["identity", "message", "routing", "policy"];

/// What values have no business with: tasks, files, sockets, clocks, formats.
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "TcpStream", "TcpListener", "SystemTime", "Instant", "UnixTime::now", "serde"];

struct File {
    path: PathBuf,
    room: String,
    text: String,
}

impl File {
    /// Without its tests, which may use anything.
    fn product(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap()
    }
}

fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&src, &src, &mut found);
    assert!(found.len() > 50, "found {} files only", found.len());
    found
}

fn collect(src: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            collect(src, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inside = path.strip_prefix(src).unwrap().to_owned();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let room = first.trim_end_matches(".rs").to_owned();
            found.push(File { text: fs::read_to_string(&path).unwrap(), path: inside, room });
        }
    }
}

fn position(room: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == room)
}

/// The rooms that a text names by `crate::room`, in a path or as the first words of a group.
fn rooms_named(text: &str) -> impl Iterator<Item = &'static str> {
    LAYERS.iter().copied().filter(move |room| {
        text.match_indices(&format!("crate::{room}")).any(|(at, found)| {
            let next = text[at + found.len()..].chars().next();
            !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
        })
    })
}

#[test]
fn every_room_has_its_place_and_names_only_rooms_to_its_left() {
    for file in files() {
        if ["lib", "main"].contains(&file.room.as_str()) {
            continue;
        }
        let place = position(&file.room).unwrap_or_else(|| panic!("{:?} is in no layer", file.path));
        for named in rooms_named(file.product()) {
            let right = position(named).unwrap();
            assert!(right <= place, "{:?} looks to its right, at {named}", file.path);
        }
        assert!(!file.product().contains("crate::{"), "{:?} groups rooms: name one a line", file.path);
    }
}

#[test]
fn the_decision_core_does_no_io_and_knows_no_clock() {
    for file in files().iter().filter(|file| PURE.contains(&file.room.as_str())) {
        for word in IMPURE {
            assert!(!file.product().contains(word), "{:?} names {word}", file.path);
        }
    }
}

#[test]
fn the_mode_is_gone_after_configuration() {
    let knows = |file: &&File| file.product().contains("Mode::") || file.product().contains("config::Mode");
    let rooms: Vec<_> = files().iter().filter(knows).map(|file| file.room.clone()).collect();
    assert!(rooms.contains(&"config".to_owned()), "the check finds nothing");
    // The commands are named after the modes; they pass the word on and nothing else.
    assert!(rooms.iter().all(|room| ["config", "cli"].contains(&room.as_str())), "{rooms:?}");
}

#[test]
fn only_policy_can_make_a_permit() {
    for file in files().iter().filter(|file| file.room != "policy") {
        assert!(!file.text.contains("Permit::new") && !file.text.contains("Permit {"), "{:?}", file.path);
    }
}

#[test]
fn forwarding_takes_the_proof_that_it_is_permitted() {
    let source = |name: &str| files().into_iter().find(|file| file.path == Path::new(name)).unwrap().text;
    for (file, function) in
        [("proxy/forward.rs", "async fn forward("), ("proxy/upgrade.rs", "async fn upgrade(")]
    {
        let text = source(file);
        let signature = text.split(function).nth(1).unwrap().split("->").next().unwrap();
        assert!(signature.contains("&Permit"), "{function}{signature}");
    }
}

/// Lines of the log that do not say whom or what outside they are about, with how many there are in a file:
/// only we cause them, or our upstreams, or they are bounded where they arise.
const OURS: &[(&str, usize)] = &[
    // A worker's runtime.
    ("server/worker.rs", 1),
    // The state of the links it keeps open.
    ("server/keep_open.rs", 3),
    // max_connections: every ten seconds.
    ("server/listener.rs", 1),
    // A target becomes unhealthy, and healthy again.
    ("proxy/health.rs", 2),
    // Once a minute for each place that gives no answer.
    ("tls/revocation/failures.rs", 1),
];

#[test]
fn what_strangers_cause_is_logged_with_a_field_that_bounds_it() {
    const REACHED: &[&str] = &["identity", "message", "routing", "tls", "policy", "proxy", "server", "admin"];
    for file in files().iter().filter(|file| REACHED.contains(&file.room.as_str())) {
        let mut unbounded = 0;
        for level in ["tracing::info!(", "tracing::warn!(", "tracing::error!("] {
            let lines = file.product().split(level).skip(1).map(str::trim_start);
            unbounded +=
                lines.filter(|line| !line.starts_with("%peer") && !line.starts_with("listener")).count();
        }
        let listed =
            OURS.iter().find(|(path, _)| file.path == Path::new(path)).map_or(0, |(_, lines)| *lines);
        assert_eq!(
            unbounded, listed,
            "{:?}: begin it with %peer, or list it here with the reason",
            file.path
        );
    }
}

#[test]
fn every_file_says_what_it_is_and_fits_a_sitting() {
    for file in files() {
        assert!(file.text.starts_with("//! "), "{:?} does not say what it is", file.path);
        let lines = file.text.lines().count();
        assert!(lines <= 400, "{:?} has {lines} lines", file.path);
        assert!(
            file.path.file_name().unwrap() != "mod.rs",
            "{:?}: foo.rs beside foo/, never mod.rs",
            file.path
        );
    }
}

#[test]
fn there_are_no_macros_of_our_own_and_no_second_reader_of_the_environment() {
    for file in files() {
        assert!(!file.product().contains("macro_rules!"), "{:?} defines a macro", file.path);
        let reads = file.product().contains("env::var");
        assert!(
            !reads || file.path == Path::new("config/source.rs"),
            "{:?} reads the environment",
            file.path
        );
    }
}

#[test]
fn the_text_of_an_error_is_told_only_where_it_is_known_whose_it_is() {
    let tells = |file: &File| {
        // `name.to_string()` ends as `e.to_string()` does.
        let word = |telling: &str, at: usize| {
            !file.text[..at].ends_with(|before: char| before.is_alphanumeric() || "_.".contains(before))
                || telling.starts_with(['{', '%', '?'])
        };
        TELLING
            .iter()
            .find(|telling| file.product().match_indices(**telling).any(|(at, _)| word(telling, at)))
            .copied()
    };
    let listed = |file: &File| TELLS_ERRORS.iter().any(|(path, _)| file.path == Path::new(path));
    let is_test = |file: &File| {
        file.path.ends_with("tests.rs") || file.path.components().any(|it| it.as_os_str() == "tests")
    };
    for file in files() {
        // What an error type says of the one inside is declared with it.
        let declares = file.product().contains("#[error(") && tells(&file) == Some("{source}");
        if let Some(telling) = tells(&file).filter(|_| !listed(&file) && !is_test(&file) && !declares) {
            panic!("{:?} tells an error by {telling}: use telemetry::cause, or words of our own", file.path);
        }
    }
    for (path, whose) in TELLS_ERRORS {
        let file = files().into_iter().find(|file| file.path == Path::new(path));
        let file = file.unwrap_or_else(|| panic!("{path} is gone"));
        assert!(tells(&file).is_some() && !whose.is_empty(), "{path} tells no error: take it off the list");
    }
}

#[test]
fn pem_is_read_in_one_place() {
    for file in files().iter().filter(|file| !file.path.starts_with("tls/pem")) {
        for reader in ["rustls_pemfile::", "PemObject", "from_pem_", "pem_slice_iter", "pem_file_iter"] {
            let inside = file.path != Path::new("tls/pem.rs") && file.product().contains(reader);
            assert!(!inside, "{:?} reads PEM by {reader}, whose errors quote it: use tls::pem", file.path);
        }
    }
}

#[test]
fn the_map_lists_every_room_in_order() {
    let map = files().into_iter().find(|file| file.path == Path::new("lib.rs")).unwrap().text;
    let listed: Vec<_> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.split(';').next()).collect();
    assert_eq!(listed, LAYERS);
    let architecture = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let architecture = fs::read_to_string(architecture).unwrap();
    assert!(architecture.lines().count() <= 150, "docs/architecture.md is longer than 150 lines");
    for room in LAYERS {
        assert!(architecture.contains(&format!("`{room}`")), "docs/architecture.md does not tell of {room}");
    }
}
