//! What was counted once and is kept in `baseline.json`, and how it compares with what is counted now.
//!
//! Where compiler, valgrind and processor are those of the baseline, 3 % more is a failure. Where they
//! differ the counts do too, through no fault of the change: the comparison says so, and fails above
//! 15 % only. On another architecture nothing can be compared.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::profile::Profile;

/// In per cent. Repeated runs of one program differ by 0.5 %.
const LIMIT: f64 = 3.0;

/// In per cent: what another compiler or processor may come to.
const LIMIT_ELSEWHERE: f64 = 15.0;

/// So many of the parts that changed most are told.
const PARTS_TOLD: usize = 8;

/// Counts, and what they were made with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// What the counts depend on beside the program.
    pub made: Made,
    /// By scenario, then by node.
    pub per_request: BTreeMap<String, BTreeMap<String, Counts>>,
}

/// What the counts depend on beside the program.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    architecture: String,
    rustc: String,
    valgrind: String,
    /// Maker and features: libraries choose their code by them.
    processor: String,
}

/// Instructions per request of one node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counts {
    total: u64,
    parts: BTreeMap<String, u64>,
}

impl Made {
    /// Asks this machine.
    ///
    /// # Errors
    /// A program is missing.
    pub fn here() -> anyhow::Result<Self> {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        Ok(Self {
            architecture: std::env::consts::ARCH.into(),
            rustc: said(&rustc)?,
            valgrind: said("valgrind").context("install valgrind")?,
            processor: processor(&fs::read_to_string("/proc/cpuinfo")?),
        })
    }

    fn differences(&self, baseline: &Self) -> Vec<String> {
        let both = [
            (&baseline.architecture, &self.architecture),
            (&baseline.rustc, &self.rustc),
            (&baseline.valgrind, &self.valgrind),
            (&baseline.processor, &self.processor),
        ];
        both.into_iter()
            .filter(|(then, now)| then != now)
            .map(|(then, now)| format!("{then}; here {now}"))
            .collect()
    }
}

fn said(program: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} does not tell its version");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What valgrind passes on of a processor and libraries look at.
fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim())
    };
    let flags: Vec<_> = field("flags").split(' ').collect();
    let looked_at = ["aes", "avx", "avx2", "bmi1", "bmi2", "fma", "pclmulqdq", "rdrand", "rdseed", "erms"];
    let present = looked_at.into_iter().filter(|name| flags.contains(name));
    [field("vendor_id")].into_iter().chain(present).collect::<Vec<_>>().join(" ")
}

impl Counts {
    /// The shares of one request.
    pub fn per_request(profile: &Profile, requests: u32) -> Self {
        let share = |count: u64| count / u64::from(requests);
        let parts = profile.parts.iter().map(|(name, count)| (name.clone(), share(*count)));
        // What does not come to one in a thousand is of no help.
        let parts = parts.filter(|(_, count)| *count * 1000 >= share(profile.total())).collect();
        Self { total: share(profile.total()), parts }
    }

    /// The change in per cent.
    fn change(&self, baseline: &Self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // counts are far below 2^52
        let (now, then) = (self.total as f64, baseline.total as f64);
        (now / then - 1.0) * 100.0
    }

    /// The parts that changed most, the largest change first.
    fn parts_changed(&self, baseline: &Self) -> Vec<(String, u64, u64)> {
        let count = |counts: &Self, name: &str| counts.parts.get(name).copied().unwrap_or(0);
        let names: std::collections::BTreeSet<_> = self.parts.keys().chain(baseline.parts.keys()).collect();
        let mut changed: Vec<_> =
            names.iter().map(|name| ((*name).clone(), count(baseline, name), count(self, name))).collect();
        changed.retain(|(_, then, now)| then != now);
        changed.sort_by_key(|(_, then, now)| std::cmp::Reverse(then.abs_diff(*now)));
        changed.truncate(PARTS_TOLD);
        changed
    }
}

/// What is to be told, and whether all is well.
pub struct Comparison {
    text: String,
    passed: bool,
}

impl Comparison {
    /// Whether nothing got worse.
    pub fn passed(&self) -> bool {
        self.passed
    }
}

impl Baseline {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| path.display().to_string())
    }

    /// Compares what was counted now, which this is, with what is kept.
    pub fn compare(&self, baseline: &Self) -> Comparison {
        let mut text = format!("{self}\n");
        let differences = self.made.differences(&baseline.made);
        for difference in &differences {
            let _ = writeln!(text, "the baseline was made with {difference}");
        }
        if self.made.architecture != baseline.made.architecture {
            text.push_str("left out: the counts of two architectures cannot be compared\n");
            return Comparison { text, passed: true };
        }
        let limit = if differences.is_empty() { LIMIT } else { LIMIT_ELSEWHERE };
        let mut passed = true;
        for (scenario, node, now, then) in self.pairs(baseline) {
            let (Some(now), Some(then)) = (now, then) else {
                let _ = writeln!(text, "FAILED: {scenario}, {node}: not in both, so {UPDATE}");
                passed = false;
                continue;
            };
            let change = now.change(then);
            let _ = writeln!(text, "{change:+6.2} %  {scenario}, {node}: {} → {}", then.total, now.total);
            if change.abs() <= LIMIT {
                continue;
            }
            for (part, then, now) in now.parts_changed(then) {
                let _ = writeln!(text, "            {part}: {then} → {now}");
            }
            if change > limit {
                let _ = writeln!(text, "          FAILED: more than {limit} % above the baseline");
                passed = false;
            } else if change < 0.0 && differences.is_empty() {
                let _ = writeln!(text, "          better: {UPDATE}, or the gain can be lost again unseen");
            }
        }
        if !passed {
            let _ = writeln!(text, "if this is the price of something wanted, {UPDATE} and say so");
        }
        Comparison { text, passed }
    }

    /// Every scenario and node of either.
    fn pairs<'a>(
        &'a self,
        baseline: &'a Self,
    ) -> impl Iterator<Item = (&'a str, &'a str, Option<&'a Counts>, Option<&'a Counts>)> {
        let keys = |it: &'a Self| {
            it.per_request.iter().flat_map(|(scenario, nodes)| {
                nodes.keys().map(move |node| (scenario.as_str(), node.as_str()))
            })
        };
        let all: std::collections::BTreeSet<_> = keys(self).chain(keys(baseline)).collect();
        let find = |it: &'a Self, scenario: &str, node: &str| it.per_request.get(scenario)?.get(node);
        all.into_iter().map(move |(scenario, node)| {
            (scenario, node, find(self, scenario, node), find(baseline, scenario, node))
        })
    }
}

const UPDATE: &str = "update the baseline (UPDATE_BASELINE=1 cargo test --bench instructions)";

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instructions per request:")?;
        for (scenario, nodes) in &self.per_request {
            for (node, counts) in nodes {
                writeln!(f, "  {:>11}  {scenario}, {node}", counts.total)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
