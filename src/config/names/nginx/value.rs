//! How a directive's value is written as the value of a setting.

use super::super::kong::Meaning;
use super::Block;
use super::directives::Understood;

/// The way from nginx's word to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Write {
    /// Both write it in the same way.
    Same,
    /// A time; a bare number is seconds. Of two (`keepalive_timeout 65 60`) the first counts.
    Seconds,
    /// `4 8k`: a number of buffers, and the size of one.
    Buffers,
    /// `ssl_verify_client`: off asks for nothing.
    VerifyClient,
    /// `ssl_crl`: every certificate of a chain must be covered, or it is refused.
    Lists,
    /// `proxy_ssl_verify`: of streams, off says nothing about requests.
    UpstreamVerify,
    /// A certificate that is named is presented.
    ClientCertificate,
}

impl Understood {
    /// What the directive says with this value.
    pub(super) fn meaning(&self, block: Block, value: &str) -> Meaning {
        let written = value;
        let value = unquoted(written);
        let off = value.eq_ignore_ascii_case("off");
        let same = |text: &str| vec![(self.targets[0], text.to_owned())];
        Meaning::Says(match self.write {
            Write::Same => same(value),
            Write::Seconds => same(&time(written)),
            Write::Buffers => same(&buffers(value)),
            Write::VerifyClient if off => return Meaning::Harmless,
            Write::UpstreamVerify if off && block == Block::Stream => return Meaning::Harmless,
            Write::VerifyClient | Write::UpstreamVerify => same(value),
            Write::Lists if value.is_empty() => same(value),
            Write::Lists => vec![(self.targets[0], value.to_owned()), (self.targets[1], "STRICT".to_owned())],
            Write::ClientCertificate if value.is_empty() => same(value),
            Write::ClientCertificate => {
                vec![(self.targets[0], value.to_owned()), (self.targets[1], "on".to_owned())]
            }
        })
    }
}

/// Without the quotes that nginx takes off.
fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// A time as nginx writes it (`60`, `90s`, `1h30m`, `'1h 30m'`, `1d`), in a form of ours.
fn time(written: &str) -> String {
    let value = unquoted(written);
    // Without quotes, what is behind a space is another argument.
    let first = value.split_whitespace().next().unwrap_or_default();
    let one = if value == written { first } else { value };
    if one.bytes().all(|byte| byte.is_ascii_digit()) && !one.is_empty() {
        return format!("{one}s");
    }
    milliseconds(one).map_or_else(|| one.to_owned(), |total| format!("{total}ms"))
}

/// The sum of its parts; `None` where it is no time.
fn milliseconds(value: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, value.trim());
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// `4 8k` as the 32k that all of them hold.
fn buffers(value: &str) -> String {
    let product = || {
        let (number, size) = value.split_once(' ')?;
        let size = size.trim();
        let at = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
        let (digits, unit) = size.split_at(at);
        let all = number.parse::<u64>().ok()?.checked_mul(digits.parse().ok()?)?;
        Some(format!("{all}{unit}"))
    };
    product().unwrap_or_else(|| value.to_owned())
}
