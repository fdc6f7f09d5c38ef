//! The nginx directives that Kong's users inject: `nginx_<block>_<directive>`.
//!
//! Used by `names`. Each is understood (a setting here means the same), harmless (nothing here depends on
//! it), or deciding, and then refused: whatever is not known may decide who passes. Blocks: Kong 3.9,
//! kong/conf_loader/constants.lua, `DYNAMIC_KEY_NAMESPACES`. Directives: nginx's own pages.

mod directives;
mod value;

use self::directives::{DECIDING, EVENTS, HARMLESS, HARMLESS_PREFIXES, MAIN, UPSTREAM};
pub(in crate::config) use self::directives::{UNDERSTOOD, Understood};
use super::kong::Meaning;

/// Where Kong writes a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) enum Block {
    /// Outside of every block.
    Main,
    Events,
    /// WebAssembly, which is not here.
    Wasm,
    /// The Admin API's server, which is not here.
    Admin,
    /// The status listener's server.
    Status,
    /// `stream` and the blocks in it, which are not here.
    Stream,
    /// The `upstream` block of services.
    Upstream,
    /// Around all servers.
    Http,
    /// The server that takes requests.
    Proxy,
    /// In that server.
    Location,
}

impl Block {
    /// The block and the directive of a key without `nginx_`.
    fn of(rest: &str) -> Option<(Self, &str)> {
        BLOCKS.iter().find_map(|(prefix, block)| Some((*block, rest.strip_prefix(prefix)?)))
    }

    /// Whether requests meet what is said there.
    fn meets_requests(self) -> bool {
        self >= Self::Upstream
    }
}

const BLOCKS: [(&str, Block); 12] = [
    ("main_", Block::Main),
    ("events_", Block::Events),
    ("wasm_", Block::Wasm),
    ("admin_", Block::Admin),
    ("status_", Block::Status),
    ("stream_", Block::Stream),
    ("sproxy_", Block::Stream),
    ("supstream_", Block::Stream),
    ("upstream_", Block::Upstream),
    ("http_", Block::Http),
    ("proxy_", Block::Proxy),
    ("location_", Block::Location),
];

/// The inner block wins, as in nginx; the higher the later.
pub(super) fn rank(key: &str) -> usize {
    let block = key.strip_prefix(NGINX).and_then(Block::of);
    block.map_or(0, |(block, _)| block as usize + 1)
}

/// Whether the key is a directive in a block of Kong's, and one that is listed here.
pub(super) fn knows(key: &str) -> bool {
    let Some((block, directive)) = key.strip_prefix(NGINX).and_then(Block::of) else {
        return WITHOUT_A_BLOCK.contains(&key);
    };
    understood(block, directive).is_some()
        || is_harmless(block, directive)
        || DECIDING.iter().any(|deciding| deciding.matches(directive))
}

/// The settings that mean the same as a directive, wherever requests meet it.
pub(super) fn targets(directive: &str) -> &'static [&'static str] {
    understood(Block::Proxy, directive).map_or(&[], |understood| understood.targets)
}

/// What it comes to; `key` begins with `nginx_`.
pub(super) fn meaning(key: &str, value: &str) -> Meaning {
    let value = value.trim().trim_end_matches(';').trim_end();
    if value.is_empty() && rank(key) == 0 || value == "NONE" {
        return Meaning::Harmless;
    }
    if holds_more(value) {
        let what = "its value holds more than one directive, which may decide who passes";
        return Meaning::deciding(what, "write one directive, or settings that mean the same");
    }
    if WITHOUT_A_BLOCK.contains(&key) {
        return Meaning::Harmless;
    }
    let Some((block, directive)) = key.strip_prefix(NGINX).and_then(Block::of) else {
        return unknown(key.strip_prefix(NGINX).unwrap_or(key));
    };
    match understood(block, directive) {
        Some(understood) => understood.meaning(block, value),
        None if is_harmless(block, directive) => Meaning::Harmless,
        None => decides(block, directive, value),
    }
}

fn understood(block: Block, directive: &str) -> Option<&'static Understood> {
    let found = UNDERSTOOD.iter().find(|understood| understood.directive == directive)?;
    found.counts_in(block).then_some(found)
}

fn is_harmless(block: Block, directive: &str) -> bool {
    let listed = |list: &[&str]| list.contains(&directive);
    let of_servers =
        || listed(HARMLESS) || HARMLESS_PREFIXES.iter().any(|prefix| directive.starts_with(prefix));
    match block {
        Block::Wasm => true,
        Block::Main => listed(MAIN),
        Block::Events => listed(EVENTS),
        Block::Upstream => listed(UPSTREAM),
        // Nothing comes in there, so that nothing is too large, too slow or wrongly encrypted.
        Block::Admin | Block::Status | Block::Stream => of_servers() || without_access(directive),
        Block::Http | Block::Proxy | Block::Location => of_servers(),
    }
}

/// Understood, and not about who may pass.
fn without_access(directive: &str) -> bool {
    let targets = targets(directive);
    !targets.is_empty() && !targets.iter().any(|key| super::is_access(key))
}

fn decides(block: Block, directive: &str, value: &str) -> Meaning {
    let Some(deciding) = DECIDING.iter().find(|deciding| deciding.matches(directive)) else {
        return if targets(directive).is_empty() {
            unknown(directive)
        } else {
            nowhere(block, directive, value)
        };
    };
    if deciding.harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value)) {
        return Meaning::Harmless;
    }
    if !block.meets_requests() {
        return nowhere(block, directive, value);
    }
    Meaning::deciding(
        format!("nginx's `{directive}` may decide who passes, and is not kept here"),
        deciding.advice,
    )
}

/// A rule of a server that is not here, or that has none.
fn nowhere(block: Block, directive: &str, value: &str) -> Meaning {
    if value.eq_ignore_ascii_case("off") {
        return Meaning::Harmless;
    }
    let whose = match block {
        Block::Status => "the status listener keeps no rules: STATUS_LISTEN says who reaches it",
        Block::Stream => "streams are not supported here",
        Block::Admin => "the Admin API is not supported here",
        _ => "it has no effect in that block",
    };
    Meaning::deciding(format!("nginx's `{directive}` is a rule, and {whose}"), "remove it")
}

fn unknown(directive: &str) -> Meaning {
    let what = format!("nginx's `{directive}` is not known here, and may decide who passes");
    let advice = "write the setting or plugin that means the same, or remove it; \
                  docs/configuration.md lists the directives that are understood";
    Meaning::deciding(what, advice)
}

/// Whether a semicolon or a line break outside of quotes ends the directive, so that another may follow.
fn holds_more(value: &str) -> bool {
    let (mut quote, mut escaped) = (None, false);
    for character in value.chars() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, ';' | '}') => return true,
            (None, _) => {}
        }
    }
    // An open quote reaches into what Kong writes next.
    quote.is_some()
}

/// How all of them begin.
pub(in crate::config) const NGINX: &str = "nginx_";

/// Kong's older names for directives of the main block.
const WITHOUT_A_BLOCK: &[&str] = &["nginx_user", "nginx_daemon", "nginx_optimizations"];

#[cfg(test)]
mod tests;
