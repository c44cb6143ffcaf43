//! What was aimed at, beside what was measured.

use crate::results::Results;
use crate::stats::Spread;

/// A value to reach or not to exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Shown beside the others, without a target of its own.
    None,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What the target is about; the same in all its rows.
    pub(crate) target: &'static str,
    /// In which form.
    pub(crate) form: String,
    /// The target.
    pub(crate) goal: Goal,
    /// ` KB` where the value is no ratio.
    pub(crate) unit: &'static str,
    /// What was measured, if it was.
    pub(crate) measured: Option<Spread>,
}

impl Row {
    /// Whether the median reaches the target; `None` where there is none to reach, or nothing was measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let median = self.measured?.median;
        match self.goal {
            Goal::AtLeast(goal) => Some(median >= goal),
            Goal::AtMost(goal) => Some(median <= goal),
            Goal::None => None,
        }
    }
}

impl Goal {
    /// In words.
    pub(crate) fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(goal) => format!("≥ {goal}{unit}"),
            Self::AtMost(goal) => format!("≤ {goal}{unit}"),
            Self::None => "–".to_owned(),
        }
    }
}

/// All rows, whether or not there are measurements for them.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    bulk(results, &mut rows);
    connect(results, &mut rows);
    requests(results, &mut rows);
    memory(results, &mut rows);
    load(results, &mut rows);
    rows
}

fn ratio(a: f64, b: f64) -> f64 {
    a / b
}

fn bulk(results: &Results, rows: &mut Vec<Row>) {
    let mut add = |target, goal, variant: String, ours: &str, other: &str| {
        let variant = variant.as_str();
        let measured = results.compare("bulk", (variant, ours), (variant, other), "mb_per_s", ratio);
        let form = format!("{variant}: {ours} / {other}");
        rows.push(Row { target, form, goal, unit: "", measured });
    };
    for direction in ["down", "up"] {
        for ours in ["ours-8.6 copy", "ours-8.6 puts", "ours-9 copy"] {
            let variant = format!("{direction}, 64 KB");
            add("bulk, 64 KB, against rustls alone", Goal::AtLeast(0.9), variant, ours, "rust");
        }
    }
    for (size, target, goal) in [
        ("default buffers", "bulk, default buffers, against TclTLS", Goal::AtLeast(2.0)),
        ("64 KB", "bulk, both at 64 KB, against TclTLS", Goal::AtLeast(1.5)),
    ] {
        for direction in ["down", "up"] {
            for how in ["copy", "puts"] {
                let variant = format!("{direction}, {size}");
                add(target, goal, variant, &format!("ours-8.6 {how}"), &format!("tcltls-8.6 {how}"));
            }
        }
    }
}

fn connect(results: &Results, rows: &mut Vec<Row>) {
    let mut add = |target, goal, variant: &str, ours: &str, other: &str| {
        let measured = results.compare("connect", (variant, ours), (variant, other), "per_s", ratio);
        let form = format!("{variant}: {ours} / {other}");
        rows.push(Row { target, form, goal, unit: "", measured });
    };
    let defaults = "new verified connections/s, system's roots, against TclTLS";
    let aim = Goal::AtLeast(20.0);
    add(defaults, aim, "ecdsa", "ours-8.6", "tcltls-8.6 -cafile, SSL_CERT_FILE");
    add(defaults, aim, "ecdsa", "ours-8.6", "tcltls-8.6 -cafile");
    add(defaults, aim, "rsa", "ours-8.6", "tcltls-8.6 -cafile");
    add(defaults, Goal::None, "ecdsa", "ours-8.6", "tcltls-8.6 -cadir");
    for variant in ["ecdsa", "rsa"] {
        let target = "new connections/s, against TclTLS with an own CA only";
        add(target, Goal::AtLeast(3.0), variant, "ours-8.6", "tcltls-8.6 own CA only");
    }
    for variant in ["ecdsa", "rsa"] {
        for ours in ["ours-8.6", "ours-9"] {
            add("new connections/s, against rustls alone", Goal::AtLeast(0.8), variant, ours, "rust");
        }
    }
    for ours in ["ours-8.6", "ours-9"] {
        let resumed = format!("{ours} resumed");
        let measured = results.compare("resume", ("ecdsa", &resumed), ("ecdsa", ours), "cpu_ms", ratio);
        let target = "resumed against new, CPU per connection";
        let form = format!("{resumed} / {ours}");
        rows.push(Row { target, form, goal: Goal::AtMost(0.75), unit: "", measured });
    }
}

fn requests(results: &Results, rows: &mut Vec<Row>) {
    for (connections, target, goal) in [
        ("1", "1 KB request/response, 1 connection, against a plain socket", 0.85),
        ("100", "the same, 100 connections", 0.70),
    ] {
        for (ours, plain) in [("ours-8.6", "plain-8.6"), ("ours-9", "plain-9")] {
            let measured = results.compare("requests", (connections, ours), (connections, plain), "per_s", ratio);
            let form = format!("{ours} / {plain}");
            rows.push(Row { target, form, goal: Goal::AtLeast(goal), unit: "", measured });
        }
    }
}

fn memory(results: &Results, rows: &mut Vec<Row>) {
    for (count, ours, plain) in
        [("1000", "ours-8.6", "plain-8.6"), ("1000", "ours-9", "plain-9"), ("5000", "ours-9", "plain-9")]
    {
        let over = |value| results.compare("idle", (count, ours), (count, plain), value, |a, b| a - b);
        let target = "memory per idle connection, over a plain socket's, of the server";
        let form = format!("{count}: {ours} − {plain}");
        rows.push(Row { target, form, goal: Goal::AtMost(10.0), unit: " KB", measured: over("server_kb") });
    }
    let measured = results.compare("idle", ("5000", "ours-9"), ("1000", "ours-9"), "server_kb", ratio);
    let target = "5000 idle connections in Tcl 9 against 1000, memory of each";
    rows.push(Row { target, form: "ours-9".to_owned(), goal: Goal::AtMost(1.0), unit: "", measured });
}

fn load(results: &Results, rows: &mut Vec<Row>) {
    for (value, form, goal) in
        [("load_ms", "without the search for packages", Goal::AtMost(1.0)), ("all_ms", "with it", Goal::None)]
    {
        let variant = "package require";
        let measured = results.compare("load", (variant, "ours-8.6"), (variant, "tcltls-8.6"), value, ratio);
        let form = format!("{form}: ours-8.6 / tcltls-8.6");
        rows.push(Row { target: "`package require`, against TclTLS", form, goal, unit: "", measured });
    }
    for (peer, goal) in [("ours-8.6", Goal::AtMost(5.0)), ("tcltls-8.6", Goal::None)] {
        let measured = results.find("load", "size", peer).and_then(|series| series.spread("with_libraries_mb"));
        let target = "library, with all it needs beside libc";
        rows.push(Row { target, form: peer.to_owned(), goal, unit: " MB", measured });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use crate::results::Values;

    #[test]
    fn every_row_of_ratios_finds_the_series_that_the_plan_makes() {
        let mut results = Results::default();
        let values = ["mb_per_s", "per_s", "cpu_ms", "server_kb"].map(|name| (name.to_owned(), 6.0));
        for (case, _) in plan::CASES {
            for group in plan::groups(case, 1.0) {
                for job in group.jobs {
                    results.enter(case, &group.variant, &job.label, 0, Values::from(values.clone()));
                }
            }
        }
        for row in rows(&results) {
            let from_jobs = !row.target.contains("package require") && !row.target.contains("library");
            assert_eq!(row.measured.is_some(), from_jobs, "{row:?}");
        }
    }

    #[test]
    fn a_target_is_met_by_the_median() {
        let measured = Spread::of([0.8, 0.9, 1.5]);
        let row = |goal| Row { target: "", form: String::new(), goal, unit: "", measured };
        assert_eq!(row(Goal::AtLeast(0.9)).is_met(), Some(true));
        assert_eq!(row(Goal::AtMost(0.8)).is_met(), Some(false));
        assert_eq!(row(Goal::None).is_met(), None);
        assert_eq!(Row { measured: None, ..row(Goal::AtMost(1.0)) }.is_met(), None);
    }
}
