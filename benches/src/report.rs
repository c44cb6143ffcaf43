//! Tables and files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::plot;
use crate::results::{Results, Series, Values};
use crate::stats::Spread;
use crate::targets::{self, Row};

/// Values that are shown in the tables, with their headings; what a case does not have is left out.
const COLUMNS: [(&str, &str); 19] = [
    ("mb_per_s", "MB/s"),
    ("cpu_s_per_gb", "CPU s/GB"),
    ("per_s", "per second"),
    ("p50_us", "p50 µs"),
    ("p99_us", "p99 µs"),
    ("cpu_ms", "CPU ms each"),
    ("server_cpu_ms", "server's"),
    ("cpu_us", "CPU µs each"),
    ("server_kb", "server KB each"),
    ("client_kb", "client KB each"),
    ("server_rss_mb", "server RSS MB"),
    ("client_rss_mb", "client RSS MB"),
    ("load_ms", "ms"),
    ("all_ms", "with search, ms"),
    ("library_mb", "MB"),
    ("with_libraries_mb", "with libraries, MB"),
    ("million_instructions", "million instructions"),
    ("counted", "counted over"),
    ("us", "µs"),
];

/// The value that a case is about: its spread is shown too.
const FIRST: [&str; 6] = ["mb_per_s", "per_s", "server_kb", "load_ms", "million_instructions", "us"];

/// Writes `results.json`, `results.md` and the plots; returns the table of targets for the terminal.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<String> {
    let rows = targets::rows(results);
    let file = folder.join("results.json");
    let mut json = results.to_json();
    if let Some(object) = json.as_object_mut() {
        object.insert("targets".to_owned(), rows.iter().map(row_json).collect());
    }
    fs::write(&file, format!("{json:#}\n")).map_err(Error::path("write", &file))?;
    let plots = plot::write(results, &rows, folder)?;
    let file = folder.join("results.md");
    fs::write(&file, markdown(results, &rows, &plots)).map_err(Error::path("write", &file))?;
    Ok(terminal(results, &rows))
}

/// What matters of one run, for the progress of the whole.
pub(crate) fn short(values: &Values) -> String {
    let parts = COLUMNS.iter().filter(|(name, _)| !name.contains("rss") && !name.starts_with("server_cpu"));
    let parts = parts.filter_map(|(name, heading)| Some(format!("{} {heading}", rounded(*values.get(*name)?))));
    parts.collect::<Vec<_>>().join(", ")
}

/// A number with about three digits that count.
pub(crate) fn rounded(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 0.1 || value == 0.0 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

fn met(row: &Row) -> &'static str {
    match (row.is_met(), row.measured) {
        (Some(true), _) => "yes",
        (Some(false), _) => "NO",
        (None, Some(_)) => "–",
        (None, None) => "n/a",
    }
}

fn spread_text(spread: Option<Spread>, show: impl Fn(&Spread) -> (f64, f64)) -> String {
    spread.filter(|spread| spread.count > 1).map_or_else(String::new, |spread| {
        let (from, to) = show(&spread);
        format!("{} – {}", rounded(from), rounded(to))
    })
}

fn row_cells(row: &Row) -> [String; 5] {
    let measured = row.measured.map_or_else(|| "not measured".to_owned(), |m| rounded(m.median) + row.unit);
    let quartiles = spread_text(row.measured, |spread| (spread.q1, spread.q3));
    [row.form.clone(), row.goal.text(row.unit), measured, quartiles, met(row).to_owned()]
}

fn terminal(results: &Results, rows: &[Row]) -> String {
    let mut text = String::new();
    let line = |cells: &[String; 5]| {
        let [form, goal, measured, quartiles, met] = cells;
        format!("  {form:<62} {goal:>9} {measured:>12} {quartiles:>16}  {met}\n")
    };
    text += &line(&["", "target", "measured", "quartiles", "met"].map(str::to_owned));
    for (title, rows) in by_target(rows) {
        if rows.iter().any(|row| row.measured.is_some()) {
            let _ = writeln!(text, "{title}");
            for row in rows {
                text += &line(&row_cells(row));
            }
        }
    }
    for skipped in &results.skipped {
        let _ = writeln!(text, "skipped: {skipped}");
    }
    text
}

fn by_target(rows: &[Row]) -> Vec<(&'static str, Vec<&Row>)> {
    let mut groups: Vec<(&'static str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match groups.last_mut() {
            Some((title, group)) if *title == row.target => group.push(row),
            _ => groups.push((row.target, vec![row])),
        }
    }
    groups
}

fn markdown(results: &Results, rows: &[Row], plots: &[String]) -> String {
    let mut text = "# Benchmarks of tcl-rustls\n\nMedians; a ratio is taken within each round, then the median of the \
                    ratios. What the cases do stands in benches/README.md.\n\n## Targets\n\n"
        .to_owned();
    text += "| case | form | target | measured | quartiles | least – most | met |\n|---|---|---|---|---|---|---|\n";
    for (title, rows) in by_target(rows) {
        for (number, row) in rows.into_iter().enumerate() {
            let [form, goal, measured, quartiles, met] = row_cells(row);
            let extremes = spread_text(row.measured, |spread| (spread.low, spread.high));
            let title = if number == 0 { title } else { "" };
            let _ = writeln!(text, "| {title} | {form} | {goal} | {measured} | {quartiles} | {extremes} | {met} |");
        }
    }
    text += "\n## Conditions\n\n| | |\n|---|---|\n";
    for (name, value) in &results.conditions {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    for (heading, lines) in [("Left out", &results.skipped), ("Failed", &results.failures)] {
        if !lines.is_empty() {
            let _ = write!(text, "\n## {heading}\n\n");
            for line in lines {
                let _ = writeln!(text, "- {}", line.replace('\n', "\n  "));
            }
        }
    }
    for plot in plots {
        let _ = write!(text, "\n![{plot}]({plot})\n");
    }
    let mut done: Vec<(&str, &str)> = Vec::new();
    for series in &results.series {
        let key = (series.case.as_str(), series.variant.as_str());
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let group: Vec<&Series> =
            results.series.iter().filter(|other| (other.case.as_str(), other.variant.as_str()) == key).collect();
        text += &table(&format!("{}: {}", key.0, key.1), &group);
    }
    text
}

fn table(title: &str, group: &[&Series]) -> String {
    let present = |name: &str| group.iter().any(|series| series.spread(name).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(|(name, _)| present(name)).collect();
    let mut text = format!("\n## {title}\n\n| |");
    for (name, heading) in &columns {
        let _ = write!(text, " {heading} |{}", if FIRST.contains(name) { " quartiles |" } else { "" });
    }
    let headings = columns.iter().filter(|(name, _)| FIRST.contains(name)).count() + columns.len() + 1;
    let _ = writeln!(text, " runs |\n|{}", "---|".repeat(headings + 1));
    for series in group {
        let _ = write!(text, "| {} |", series.peer);
        for (name, _) in &columns {
            let spread = series.spread(name);
            let _ = write!(text, " {} |", spread.map_or_else(String::new, |spread| rounded(spread.median)));
            if FIRST.contains(name) {
                let _ = write!(text, " {} |", spread_text(spread, |spread| (spread.q1, spread.q3)));
            }
        }
        let _ = writeln!(text, " {} |", series.rounds.len());
    }
    text
}

fn row_json(row: &Row) -> serde_json::Value {
    serde_json::json!({
        "target": row.target,
        "form": row.form,
        "goal": row.goal.text(row.unit),
        "median": row.measured.map(|m| m.median),
        "quartiles": row.measured.map(|m| [m.q1, m.q3]),
        "extremes": row.measured.map(|m| [m.low, m.high]),
        "rounds": row.measured.map(|m| m.count),
        "met": row.is_met(),
    })
}
