//! What a pair is to be: from flags, or from a few questions on a terminal.
//!
//! Answers go into files that shells, YAML and docker read, so what any of them would read differently is
//! refused here, with the flag's name.

use std::borrow::Cow;
use std::io::{self, BufRead, Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::config::{Origin, Problem, Problems, Said, Target};
use crate::pki::Leaf;

/// Write what two hosts need: a folder each, with compose file, settings and certificates
///
/// Makes DIR/reverse-proxy for the application's host, DIR/gateway for the service's, and DIR/ca, which
/// belongs on neither. What is not given is asked for on a terminal. Nothing is ever overwritten: if one of
/// the files exists, none is written.
#[derive(Debug, Clone, clap::Args)]
pub struct Pair {
    /// Folder for all of it; made if missing
    #[arg(long, value_name = "DIR", default_value = "mtls-bridge-pair")]
    pub out: PathBuf,

    /// Name or address by which the application's host reaches the gateway's
    #[arg(long, value_name = "HOST")]
    pub gateway_host: Option<String>,

    /// What is behind the gateway, as its container reaches it: http://service:8080
    #[arg(long, value_name = "URL")]
    pub service: Option<String>,

    /// The application's host; only named in the instructions
    #[arg(long, value_name = "HOST")]
    pub reverse_proxy_host: Option<String>,

    /// Name in the client certificate, by which the gateway and its service know the application
    /// [default: reverse-proxy]
    #[arg(long, value_name = "NAME")]
    pub client_name: Option<String>,

    /// Port of the gateway on its host
    #[arg(long, value_name = "PORT", default_value_t = 8443, value_parser = clap::value_parser!(u16).range(1..))]
    pub gateway_port: u16,

    /// Port on the application's host, on loopback, where the application calls
    #[arg(long, value_name = "PORT", default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    pub listen_port: u16,

    /// Days until the two certificates end; the CA lasts a year, or as long as they do
    #[arg(long, default_value_t = Leaf::DAYS, value_parser = clap::value_parser!(u16).range(1..))]
    pub days: u16,
}

/// All of it, fit for every file it goes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) gateway_host: String,
    pub(super) gateway_port: u16,
    pub(super) service: Target,
    pub(super) reverse_proxy_host: String,
    pub(super) listen_port: u16,
    pub(super) client_name: String,
    pub(super) days: u16,
}

impl Answers {
    /// From the flags alone.
    pub(super) fn given(pair: &Pair) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let required = |given: &Option<String>, key: &str, advice: &str, problems: &mut Problems| {
            let said = given.as_deref().map(|value| said(key, value));
            if said.is_none() {
                let flag = format!("--{}", key.replace('_', "-"));
                problems.push(Problem::missing(
                    &flag,
                    "not given, and there is no terminal to ask on",
                    advice,
                ));
            }
            said
        };
        let advice = "give the name or address by which the application's host reaches the gateway";
        let gateway = required(&pair.gateway_host, "gateway_host", advice, &mut problems);
        let advice = "give the URL of what is behind the gateway, for example http://service:8080";
        let service = required(&pair.service, "service", advice, &mut problems);
        let client = said("client_name", pair.client_name.as_deref().unwrap_or(CLIENT));
        let application = said("reverse_proxy_host", pair.reverse_proxy_host.as_deref().unwrap_or(APP_HOST));

        let mut collect = |result: Result<String, Problem>| problems.collect(result.map_err(Problems::from));
        let gateway_host = gateway.and_then(|said| collect(self::gateway(&said)));
        let client_name = collect(name(&client));
        let reverse_proxy_host = collect(host(&application));
        let service = service.and_then(|said| problems.collect(target(&said).map_err(Problems::from)));
        let (Some(gateway_host), Some(client_name), Some(reverse_proxy_host), Some(service)) =
            (gateway_host, client_name, reverse_proxy_host, service)
        else {
            return Err(problems);
        };
        let (gateway_port, listen_port, days) = (pair.gateway_port, pair.listen_port, pair.days);
        Ok(Self { gateway_host, gateway_port, service, reverse_proxy_host, listen_port, client_name, days })
    }

    /// Asks first, if one of the two answers that nobody can guess is missing. Whoever gave both on the
    /// command line is not held up by questions that have a default. Each answer is judged when it is given, and
    /// asked for again with the reason.
    pub(super) fn asking(
        pair: &Pair,
        from: &mut impl BufRead,
        to: &mut impl Write,
    ) -> Result<Self, Problems> {
        if pair.gateway_host.is_some() && pair.service.is_some() {
            return Self::given(pair);
        }
        // What was given is judged before anybody types an answer in vain.
        let mut problems = Problems::default();
        for question in &QUESTIONS {
            if let Some(given) = question.given(pair) {
                problems.note((question.judge)(&said(question.key, &given)));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut asked = pair.clone();
        for question in QUESTIONS.iter().filter(|question| question.given(pair).is_none()) {
            // A terminal that closes leaves the answer missing, which `given` tells.
            let answer = question.ask(from, to).ok().flatten();
            let missing = answer.is_none();
            *(question.place)(&mut asked) = answer;
            if missing {
                break;
            }
        }
        Self::given(&asked)
    }
}

/// One thing to be asked for.
struct Question {
    key: &'static str,
    text: &'static str,
    /// What an empty line means; empty where nobody can guess.
    default: &'static str,
    judge: fn(&Said) -> Result<(), Problem>,
    place: fn(&mut Pair) -> &mut Option<String>,
}

/// In the order in which they are asked.
const QUESTIONS: [Question; 4] = [
    Question {
        key: "gateway_host",
        text: "Host of the gateway, as the application's reaches it",
        default: "",
        judge: |said| gateway(said).map(drop),
        place: |pair| &mut pair.gateway_host,
    },
    Question {
        key: "service",
        text: "Service behind it, as the gateway reaches it",
        default: SERVICE,
        judge: |said| target(said).map(drop),
        place: |pair| &mut pair.service,
    },
    Question {
        key: "reverse_proxy_host",
        text: "Host of the application",
        default: APP_HOST,
        judge: |said| host(said).map(drop),
        place: |pair| &mut pair.reverse_proxy_host,
    },
    Question {
        key: "client_name",
        text: "Name of the application in its certificate",
        default: CLIENT,
        judge: |said| name(said).map(drop),
        place: |pair| &mut pair.client_name,
    },
];

impl Question {
    fn given(&self, pair: &Pair) -> Option<String> {
        (self.place)(&mut pair.clone()).clone()
    }

    /// An answer that is good, sooner or later; nothing at the terminal's end.
    fn ask(&self, from: &mut impl BufRead, to: &mut impl Write) -> io::Result<Option<String>> {
        loop {
            let Some(answer) = answer(self.text, self.default, from, to)? else { return Ok(None) };
            match (self.judge)(&Said::new(self.key, &answer, Origin::from(Cow::Borrowed("typed")))) {
                Ok(()) => return Ok(Some(answer)),
                Err(problem) => writeln!(to, "{problem}")?,
            }
        }
    }
}

/// A line from the terminal; the default for an empty one, nothing at its end.
fn answer(
    question: &str,
    default: &str,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> io::Result<Option<String>> {
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(to, "{question}{shown}: ")?;
    to.flush()?;
    let mut line = String::new();
    if from.by_ref().take(LONGEST_LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.trim();
    Ok(Some(if line.is_empty() { default } else { line }.to_owned()))
}

fn said(key: &str, value: &str) -> Said {
    Said::new(key, value, Origin::flag(key))
}

fn host(said: &Said) -> Result<String, Problem> {
    let bare = said.value().trim_start_matches('[').trim_end_matches(']');
    match ServerName::try_from(bare) {
        Ok(_) => Ok(bare.to_owned()),
        Err(_) => {
            let advice = "write the host alone, without https:// and port";
            Err(Problem::new(said, "neither a host name nor an address", advice))
        }
    }
}

/// The reverse proxy runs in a container, whose loopback is not the host's.
fn gateway(said: &Said) -> Result<String, Problem> {
    let name = host(said)?;
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    if is_loopback {
        let what = "inside the reverse proxy's container this is the container itself";
        return Err(Problem::new(
            said,
            what,
            "write the gateway's host, or host.docker.internal for this one",
        ));
    }
    Ok(name)
}

/// A common name that is one word for the acl's list, an environment file and a shell.
fn name(said: &Said) -> Result<String, Problem> {
    let name = said.value();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        let advice = format!("write 1 to {LONGEST_NAME} characters");
        return Err(Problem::new(said, "not a name for a certificate", advice));
    }
    if !name.chars().all(|c| c.is_alphanumeric() || "._-@:/".contains(c)) {
        return Err(Problem::new(
            said,
            "has other characters than a name may",
            "write letters, digits and ._-@:/",
        ));
    }
    Ok(name.to_owned())
}

fn target(said: &Said) -> Result<Target, Problem> {
    let target = Target::parse(said)?;
    if target.is_loopback() {
        let what = "inside the gateway's container this is the container itself";
        let advice = format!(
            "write the name of the service's container, or host.docker.internal:{} for this host",
            target.port
        );
        return Err(Problem::new(said, what, advice));
    }
    if target.path.contains(|c: char| !c.is_ascii_graphic() || "'\"`$#\\".contains(c)) {
        let what = "its path has characters that files for docker would change";
        return Err(Problem::new(said, what, "write them percent-encoded"));
    }
    Ok(target)
}

const CLIENT: &str = "reverse-proxy";
const SERVICE: &str = "http://service:8080";
const APP_HOST: &str = "application-host";

/// Longer than any name; whoever pastes more is asked again.
const LONGEST_LINE: u64 = 4096;

/// X.520's upper bound for a common name.
const LONGEST_NAME: usize = 64;

#[cfg(test)]
mod tests;
