//! The figures of a run: one value per round, kept as JSON and shown as a table with ratios.
//!
//! Tables and plots are made from the JSON, so what is published can be looked up.

pub mod plot;
pub mod table;
mod target;

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::peers::Contender;

/// A whole run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    pub quick: bool,
    /// Cores that were busy with other things than this run, on average.
    pub other_work: f64,
    pub series: Vec<Series>,
    /// Requests that failed, over all windows.
    pub failed: u64,
    /// Where they failed, and what was left out, in words.
    pub remarks: Vec<String>,
}

/// What it was measured on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Seconds since 1970.
    pub at: u64,
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    pub programs: Vec<String>,
}

/// What is measured: a row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub group: String,
    /// Under which load.
    pub case: String,
    pub metric: String,
    pub unit: String,
    pub better: Better,
}

/// In which direction a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    Lower,
    Higher,
}

/// One contender's values of one row, a value per round.
#[derive(Debug, Serialize, Deserialize)]
pub struct Series {
    #[serde(flatten)]
    pub row: Row,
    pub contender: Contender,
    pub values: Vec<f64>,
}

impl Series {
    /// The middle value; of an even number, the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    /// Smallest and largest value.
    pub fn spread(&self) -> (f64, f64) {
        self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        })
    }
}

impl Report {
    /// Nothing measured yet.
    pub fn new(machine: Machine, rounds: usize, quick: bool) -> Self {
        Self { machine, rounds, quick, other_work: 0.0, series: Vec::new(), failed: 0, remarks: Vec::new() }
    }

    /// Adds the value of one round.
    pub fn add(&mut self, row: &Row, contender: Contender, value: f64) {
        let known = self.series.iter_mut().find(|series| series.contender == contender && series.row == *row);
        match known {
            Some(series) => series.values.push(value),
            None => self.series.push(Series { row: row.clone(), contender, values: vec![value] }),
        }
    }

    /// The series of that row and contender.
    pub fn series(&self, row: &Row, contender: Contender) -> Option<&Series> {
        self.series.iter().find(|series| series.contender == contender && series.row == *row)
    }

    /// Adds a remark once.
    pub fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Every row, in the order of measuring.
    pub fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = Vec::new();
        for series in &self.series {
            if !rows.contains(&&series.row) {
                rows.push(&series.row);
            }
        }
        rows
    }

    /// Reads one that was written earlier.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes it as JSON, over an earlier one.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)?).with_context(|| path.display().to_string())
    }
}

impl Row {
    /// A row of which less is better.
    pub fn lower(group: &str, case: &str, metric: &str, unit: &str) -> Self {
        Self::new(group, case, metric, unit, Better::Lower)
    }

    /// A row of which more is better.
    pub fn higher(group: &str, case: &str, metric: &str, unit: &str) -> Self {
        Self::new(group, case, metric, unit, Better::Higher)
    }

    fn new(group: &str, case: &str, metric: &str, unit: &str, better: Better) -> Self {
        let [group, case, metric, unit] = [group, case, metric, unit].map(str::to_owned);
        Self { group, case, metric, unit, better }
    }
}
