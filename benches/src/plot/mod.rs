//! The plots: which there are, and what they show.

mod bars;
mod dots;
mod lines;
mod svg;

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::results::{Results, Series};
use crate::targets::Row;
use bars::{Bar, Panel};
use lines::{Curve, Field};

/// Writes all plots that there are measurements for; returns their names.
pub(crate) fn write(results: &Results, rows: &[Row], folder: &Path) -> Result<Vec<String>> {
    let plots = [
        ("targets.svg", dots::draw("Targets", "measured / target: right of the line is better", rows)),
        (
            "bulk.svg",
            bars::draw(
                "Bulk data",
                "MB/s, median and range; more is better",
                &panels(results, "bulk", "mb_per_s", |_| true),
                false,
            ),
        ),
        (
            "connections.svg",
            bars::draw(
                "Connections per second, one after the other",
                "median and range, logarithmic; more is better",
                &[panels(results, "connect", "per_s", |_| true), panels(results, "resume", "per_s", |_| true)].concat(),
                true,
            ),
        ),
        (
            "connection-cpu.svg",
            bars::draw(
                "CPU time of a connection, client and server together",
                "milliseconds, median and range, logarithmic; less is better",
                &[panels(results, "connect", "cpu_ms", |_| true), panels(results, "resume", "cpu_ms", |_| true)]
                    .concat(),
                true,
            ),
        ),
        ("requests.svg", lines::draw("Requests and responses of 1 KB, by number of connections", &fields(results))),
        (
            "memory.svg",
            bars::draw(
                "Memory of an idle connection, in the server",
                "KB (proportional set size), median and range; less is better",
                &panels(results, "idle", "server_kb", |_| true),
                false,
            ),
        ),
        (
            "load.svg",
            bars::draw(
                "Loading the package",
                "milliseconds, median and range; less is better",
                &panels(results, "load", "load_ms", |variant| variant == "package require"),
                false,
            ),
        ),
    ];
    let mut written = Vec::new();
    for (name, plot) in plots {
        let file = folder.join(name);
        match plot {
            Some(text) => {
                fs::write(&file, text).map_err(Error::path("write", &file))?;
                written.push(name.to_owned());
            }
            // One of an earlier run would not belong to these results.
            None => drop(fs::remove_file(&file)),
        }
    }
    Ok(written)
}

/// The colour of a peer: the same in all plots.
fn colour(peer: &str) -> &'static str {
    match peer.split(' ').next().unwrap_or_default() {
        "plain-8.6" => "#8a9099",
        "plain-9" => "#b9bec5",
        "tcltls-8.6" => "#d9772b",
        "ours-8.6" => "#1f5fa8",
        "ours-9" => "#5b9bd8",
        _ => "#3c8c5a",
    }
}

/// What a peer is called in plots.
fn title(peer: &str) -> String {
    let (name, more) = peer.split_once(' ').map_or((peer, String::new()), |(name, more)| (name, format!(", {more}")));
    let name = match name {
        "plain-8.6" => "plain socket, Tcl 8.6",
        "plain-9" => "plain socket, Tcl 9",
        "tcltls-8.6" => "TclTLS, Tcl 8.6",
        "ours-8.6" => "tcl-rustls, Tcl 8.6",
        "ours-9" => "tcl-rustls, Tcl 9",
        "rust" => "rustls without Tcl",
        other => other,
    };
    name.to_owned() + &more
}

/// A panel for each variant of a case.
fn panels(results: &Results, case: &str, value: &str, wanted: impl Fn(&str) -> bool) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for series in results.series.iter().filter(|series| series.case == case && wanted(&series.variant)) {
        let Some(spread) = series.spread(value) else { continue };
        let bar = Bar { label: title(&series.peer), colour: colour(&series.peer), spread };
        let name = heading(series);
        match panels.iter_mut().find(|panel| panel.title == name) {
            Some(panel) => panel.bars.push(bar),
            None => panels.push(Panel { title: name, bars: vec![bar] }),
        }
    }
    panels
}

fn heading(series: &Series) -> String {
    let variant = match series.variant.as_str() {
        "ecdsa" => "ECDSA P-256",
        "rsa" => "RSA 2048",
        other => other,
    };
    match series.case.as_str() {
        "connect" => format!("handshake and close, {variant}"),
        "resume" => format!("handshake, one short exchange, close; {variant}"),
        "idle" => format!("{variant} connections"),
        _ => variant.to_owned(),
    }
}

/// Throughput and latencies over the number of connections.
fn fields(results: &Results) -> Vec<Field> {
    [("per_s", "requests per second"), ("p50_us", "median latency, µs"), ("p99_us", "99th percentile of latency, µs")]
        .into_iter()
        .map(|(value, name)| {
            let mut curves: Vec<Curve> = Vec::new();
            for series in results.series.iter().filter(|series| series.case == "requests") {
                let (Some(spread), Ok(connections)) = (series.spread(value), series.variant.parse::<f64>()) else {
                    continue;
                };
                let label = title(&series.peer);
                let point = (connections, spread);
                match curves.iter_mut().find(|curve| curve.label == label) {
                    Some(curve) => curve.points.push(point),
                    None => curves.push(Curve { label, colour: colour(&series.peer), points: vec![point] }),
                }
            }
            Field { title: name.to_owned(), curves }
        })
        .collect()
}
