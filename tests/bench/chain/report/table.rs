//! The table: a row per figure, a column per contender, our ratio and the target beside it.

use super::target::Target;
use super::{Better, Machine, Report, Row};
use crate::peers::Contender;

/// All rows as Markdown, a table per group: medians, smallest and largest value in brackets.
pub fn markdown(report: &Report) -> String {
    let rows = report.rows();
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group.as_str()).collect();
    groups.dedup();
    let mut text = String::new();
    for group in groups {
        let rows: Vec<_> = rows.iter().copied().filter(|row| row.group == group).collect();
        text += &format!("\n### {group}\n\n{}", aligned(&cells(report, &rows)));
    }
    let Machine { cores, processor, kernel, programs, .. } = &report.machine;
    text += &format!(
        "\n{cores} cores of {processor}, Linux {kernel}; {}.\nRounds: {}. Other work on the machine took {:.2} cores.\n",
        programs.join("; "),
        report.rounds,
        report.other_work
    );
    if report.quick || report.other_work > 0.1 {
        text += "Not figures to publish: the run was a quick one, or the machine was not quiet.\n";
    }
    for remark in &report.remarks {
        text += &format!("\n- {remark}");
    }
    text
}

fn cells(report: &Report, rows: &[&Row]) -> Vec<Vec<String>> {
    let contenders: Vec<_> = <Contender as clap::ValueEnum>::value_variants()
        .iter()
        .copied()
        .filter(|contender| rows.iter().any(|row| report.series(row, *contender).is_some()))
        .collect();
    let mut head = vec!["load".to_owned(), "figure".to_owned()];
    head.extend(contenders.iter().map(|contender| contender.name().to_owned()));
    head.extend(["ours / better", "target"].map(str::to_owned));
    let mut lines = vec![head];
    for row in rows {
        let mut line = vec![row.case.clone(), format!("{}, {}", row.metric, row.unit)];
        for contender in &contenders {
            line.push(report.series(row, *contender).map_or_else(String::new, |series| {
                let (low, high) = series.spread();
                format!("{} [{} .. {}]", figure(series.median()), figure(low), figure(high))
            }));
        }
        let (ratio, target) = verdict(report, row);
        line.extend([ratio, target]);
        lines.push(line);
    }
    lines
}

/// Our ratio to the better of nginx and HAProxy, and the target with whether it is met.
fn verdict(report: &Report, row: &Row) -> (String, String) {
    let ours = report.series(row, Contender::OursH2).map(super::Series::median);
    let ratio = ours.zip(best_peer(report, row)).map(|(ours, best)| ours / best);
    let met = |is_met: bool| if is_met { "met" } else { "missed" };
    let target = match Target::of(row) {
        None => String::new(),
        Some(Target::Ratio(limit)) => {
            let verdict = ratio.map_or("not compared", |ratio| met(ratio <= limit));
            format!("≤ {limit}: {verdict}")
        }
        Some(Target::Figure(limit)) => {
            let verdict = ours.map_or("not measured", |ours| met(ours <= limit));
            format!("≤ {limit} {}: {verdict}", row.unit)
        }
    };
    (ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")), target)
}

fn best_peer(report: &Report, row: &Row) -> Option<f64> {
    let peers = report
        .series
        .iter()
        .filter(|series| series.row == *row && series.contender.is_baseline())
        .map(super::Series::median);
    match row.better {
        Better::Lower => peers.reduce(f64::min),
        Better::Higher => peers.reduce(f64::max),
    }
}

/// Three significant digits, and whole numbers from a hundred on.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if number == 0 {
            text += &widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).collect::<String>();
            text += "|\n";
        }
    }
    text
}
