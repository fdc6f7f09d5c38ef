//! The plots: an SVG per group, a panel per figure, a bar per contender with its spread.
//!
//! CPU of the single nodes is left to the table.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::table::figure;
use super::{Better, Report, Row, Series};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: (u32, u32) = (400, 210);
const MOST_COLUMNS: usize = 5;
const OURS: RGBColor = RGBColor(0x0b, 0x72, 0x85);
const PEER: RGBColor = RGBColor(0xad, 0xb5, 0xbd);

/// Draws every group of `report` into `folder`; the files.
pub fn draw(report: &Report, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let shown: Vec<_> = report.rows().into_iter().filter(|row| !is_of_one_node(row)).collect();
    let mut groups: Vec<&str> = shown.iter().map(|row| row.group.as_str()).collect();
    groups.dedup();
    let mut files = Vec::new();
    for group in groups {
        let rows: Vec<_> = shown.iter().copied().filter(|row| row.group == group).collect();
        let file = folder.join(format!("{}.svg", group.replace(": ", "-").replace(' ', "-")));
        draw_group(report, &rows, &file).map_err(|error| anyhow!("{}: {error}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

fn is_of_one_node(row: &Row) -> bool {
    ["CPU, reverse proxy", "CPU, gateway"].contains(&row.metric.as_str())
}

/// A line of panels per case, wrapped where there are many figures.
fn draw_group(report: &Report, rows: &[&Row], file: &Path) -> anyhow::Result<()> {
    let in_first_case = rows.iter().take_while(|row| row.case == rows[0].case).count();
    let columns = if in_first_case == 1 { rows.len() } else { in_first_case }.min(MOST_COLUMNS);
    let lines = rows.len().div_ceil(columns);
    let size = (PANEL.0 * u32::try_from(columns)?, PANEL.1 * u32::try_from(lines)?);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, row) in area.split_evenly((lines, columns)).iter().zip(rows) {
        draw_panel(report, row, panel)?;
    }
    area.present()?;
    Ok(())
}

fn draw_panel(report: &Report, row: &Row, panel: &Area<'_>) -> anyhow::Result<()> {
    let bars: Vec<&Series> = report.series.iter().filter(|series| series.row == *row).collect();
    // The order of measuring rotates; that of the bars is the table's.
    let mut bars = bars;
    bars.sort_by_key(|series| std::cmp::Reverse(series.contender));
    let largest = bars.iter().map(|series| series.spread().1).fold(0.0, f64::max);
    let better = match row.better {
        Better::Lower => "less is better",
        Better::Higher => "more is better",
    };
    let caption = format!("{}: {}, {} ({better})", row.case, row.metric, row.unit);
    let count = i32::try_from(bars.len())?; // the coordinate's range includes its end
    let mut chart = ChartBuilder::on(panel)
        .caption(caption, ("sans-serif", 13))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(105)
        .build_cartesian_2d(0.0..(largest * 1.2).max(f64::MIN_POSITIVE), (0..count - 1).into_segmented())?;
    let name = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(at) => usize::try_from(*at)
            .ok()
            .and_then(|at| bars.get(at))
            .map_or_else(String::new, |series| series.contender.name().to_owned()),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(4)
        .y_labels(bars.len())
        .y_label_formatter(&name)
        .x_label_formatter(&|value| figure(*value))
        .label_style(("sans-serif", 12))
        .draw()?;
    for (at, series) in (0..).zip(&bars) {
        let (middle, (low, high)) = (series.median(), series.spread());
        let colour = if series.contender.is_ours() { OURS } else { PEER };
        let ends = [(0.0, SegmentValue::Exact(at)), (middle, SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(ends, colour.filled());
        bar.set_margin(3, 3, 0, 0);
        let centre = || SegmentValue::CenterOf(at);
        let whisker = PathElement::new(vec![(low, centre()), (high, centre())], BLACK.stroke_width(1));
        let value = Text::new(format!(" {}", figure(middle)), (high, centre()), ("sans-serif", 12));
        chart.draw_series([bar])?;
        chart.draw_series([whisker])?;
        chart.draw_series([value])?;
    }
    Ok(())
}
