//! `mtls-bridge pki issue`: one more certificate from a CA that `pki init` made, or any other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use time::OffsetDateTime;

use crate::pki::{Authority, KeyKind, Leaf, NewFile, San, Usage, Validity, create_all};
use crate::tls::pem;

/// The flags of `pki issue`.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// Directory of the CA: ca.crt and ca.key
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,

    /// The common name; for a server without --san also the name it is reached by
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub name: String,

    /// For presenting to a gateway
    #[arg(long)]
    pub client: bool,

    /// For a listener
    #[arg(long)]
    pub server: bool,

    /// A subject alternative name, as often as needed: a host name, an address, a URI, a mail address; or
    /// said expressly with dns:, ip:, uri:, email:
    #[arg(long)]
    pub san: Vec<San>,

    /// Days until it ends
    #[arg(long, default_value_t = Leaf::DAYS, value_parser = clap::value_parser!(u16).range(1..))]
    pub days: u16,

    /// One that ended yesterday, to see it refused
    #[arg(long, conflicts_with_all = ["days", "not_yet_valid"])]
    pub expired: bool,

    /// One that begins tomorrow, to see it refused
    #[arg(long, conflicts_with = "days")]
    pub not_yet_valid: bool,

    /// The subject's organization
    #[arg(long)]
    pub organization: Option<String>,

    /// The kind of key: p256, p384, ed25519 or rsa2048
    #[arg(long, default_value_t = KeyKind::P256)]
    pub key_type: KeyKind,

    /// Where to: a directory gets NAME.crt and NAME.key, anything else is taken as the path without its
    /// ending
    #[arg(long, value_name = "DIR|PREFIX")]
    pub out: PathBuf,
}

pub(super) fn make(args: &Issue) -> anyhow::Result<String> {
    let stem = stem(&args.out, &args.name)?;
    let authority = load(&args.ca)?;
    let leaf = leaf(args)?;
    ensure_within(&leaf, &authority)?;

    let issued = authority.issue(&leaf)?;
    let files = NewFile::pair(&stem, issued.certificate_pem, issued.key_pem);
    create_all(&files)?;

    let [certificate, key] = files;
    Ok(format!(
        "Made {} and {}, good from {} until {} (UTC).\n",
        certificate.path.display(),
        key.path.display(),
        leaf.validity.not_before.date(),
        leaf.validity.not_after.date(),
    ))
}

fn leaf(args: &Issue) -> anyhow::Result<Leaf> {
    let usage = match (args.client, args.server) {
        (true, true) => Usage::Both,
        (false, true) => Usage::Server,
        (_, false) => Usage::Client,
    };
    let validity = match (args.expired, args.not_yet_valid) {
        (true, _) => Validity::expired(),
        (_, true) => Validity::not_yet(),
        _ => Validity::days(args.days),
    };
    // Nobody verifies a server by its common name any more, so it needs an alternative name.
    let sans = if args.server && args.san.is_empty() {
        vec![args.name.parse().context("--server without --san needs a --name that is a host name")?]
    } else {
        args.san.clone()
    };
    let organization = args.organization.clone();
    Ok(Leaf { sans, usage, validity, organization, key_kind: args.key_type, ..Leaf::client(&args.name) })
}

fn load(directory: &Path) -> anyhow::Result<Authority> {
    let read = |name: &str| {
        let path = directory.join(name);
        let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok::<_, anyhow::Error>((bytes, path))
    };
    let ((certificate, certificate_path), (key, key_path)) = (read("ca.crt")?, read("ca.key")?);
    let chain = pem::certificates(&certificate).with_context(|| certificate_path.display().to_string())?;
    let key = pem::private_key(&key).with_context(|| key_path.display().to_string())?;
    Authority::load(chain, &key).with_context(|| format!("no certificates from {}", directory.display()))
}

/// A certificate that outlives its CA looks good and is refused by everyone from the CA's last day on.
fn ensure_within(leaf: &Leaf, authority: &Authority) -> anyhow::Result<()> {
    if leaf.validity.not_after <= authority.not_after() {
        return Ok(());
    }
    let left = (authority.not_after() - OffsetDateTime::now_utc()).whole_days();
    let end = authority.not_after().date();
    ensure!(left >= 1, "the CA ends on {end}: make a new one with `mtls-bridge pki init`");
    bail!("the CA ends on {end}, before the certificate would: --days can be {left} at most")
}

/// The path of the two files without `.crt` and `.key`.
fn stem(out: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let directory = out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !directory {
        return Ok(out.to_owned());
    }
    ensure!(
        !name.contains(['/', '\0']) && !name.starts_with('.'),
        "`{name}` cannot be a file name: give --out as a path without its ending"
    );
    Ok(out.join(name))
}
