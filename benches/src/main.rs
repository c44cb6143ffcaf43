//! Measures tcl-rustls beside plain sockets, TclTLS and rustls alone: see README.md. `cargo xtask bench` starts it.
#![forbid(unsafe_code)]

mod child;
mod conditions;
mod error;
mod job;
mod load;
mod peer;
mod plan;
mod plot;
mod report;
mod results;
mod setup;
mod stats;
mod targets;
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use error::{Error, Result};
use lexopt::{Arg, ValueExt};
use peer::{ALL, OURS8, OURS9, Programs};
use plan::{CASES, Group};
use results::Results;
use setup::Setup;

/// What the user wants.
struct Options {
    programs: Programs,
    cases: Vec<String>,
    rounds: usize,
    scale: f64,
    output: PathBuf,
    source: PathBuf,
    target: PathBuf,
}

fn main() -> ExitCode {
    match Options::parse().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False: something went wrong, and was told.
fn run(options: &Options) -> Result<bool> {
    let folder = options.output.join("work");
    fs::create_dir_all(&folder).map_err(Error::path("make", &folder))?;
    let setup = Setup::new(&folder, plan::bulk_bytes(options.scale))?;
    let mut results = Results { conditions: conditions::describe(options, &setup), ..Results::default() };
    for peer in ALL {
        if let Some(reason) = options.programs.lacks(peer) {
            results.skip(format!("{peer}: {reason}"));
        }
    }
    let resumes = probe(options, &setup, &mut results)?;
    for case in &options.cases {
        println!("\n{case}");
        for group in plan::groups(case, options.scale) {
            measure(&group, options, &setup, resumes, &mut results);
        }
        let outcome = match case.as_str() {
            "load" => load::run(&mut results, &options.programs, options.rounds),
            "instructions" => tools::instructions(&mut results, &options.programs, &setup, options.scale),
            "session" => {
                let short = options.scale < 1.0;
                tools::session(&mut results, &setup, &options.source, &options.target, short)
            }
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            results.failures.push(format!("{case}: {error}"));
        }
    }
    results.conditions.push(("load at the end".to_owned(), conditions::load()));
    let text = report::write(&results, &options.output)?;
    println!("\n{text}");
    println!("Written to {}: results.json, results.md, and plots (*.svg).", options.output.display());
    for failure in &results.failures {
        println!("FAILED {failure}");
    }
    Ok(results.failures.is_empty())
}

/// Whether our sessions are resumed under the same name. The peer made of Rust does what ours does.
fn probe(options: &Options, setup: &Setup, results: &mut Results) -> Result<bool> {
    let needed = options.cases.iter().any(|case| !plan::groups(case, options.scale).is_empty());
    let Some(peer) = [OURS8, OURS9].into_iter().find(|peer| needed && options.programs.lacks(*peer).is_none()) else {
        return Ok(false);
    };
    let (values, _) = job::run(&plan::probe(peer), &options.programs, setup, false)?;
    let resumes = values.get("resumed") == Some(&1.0);
    let text = if resumes { "yes, so rustls alone keeps tickets too" } else { "no, so rustls alone sends no tickets" };
    results.conditions.push(("our sessions are resumed".to_owned(), text.to_owned()));
    Ok(resumes)
}

/// The rounds of a group, its jobs taking turns. A job that fails is told of and does not take part any more.
fn measure(group: &Group, options: &Options, setup: &Setup, resumes: bool, results: &mut Results) {
    let mut failed = BTreeSet::new();
    let rounds = options.rounds.min(group.rounds);
    for round in 0..rounds {
        for job in &group.jobs {
            let at = format!("{}, {}, {}", group.case, group.variant, job.label);
            if failed.contains(&job.label) || options.programs.lacks(job.peer).is_some() {
                continue;
            }
            if plan::wants_resumption(job) && !resumes {
                results.skip(format!("{at}: n/a, as our sessions are not resumed"));
                continue;
            }
            let outcome = job::run(job, &options.programs, setup, resumes).and_then(|(values, about)| {
                let resumed = values.get("resumed") == Some(&1.0);
                match (plan::wants_resumption(job), resumed) {
                    (true, false) => Err(Error::peer(&job.label, "the session was not resumed")),
                    (false, true) if matches!(job.work, job::Work::Connect { .. }) => {
                        Err(Error::peer(&job.label, "the session was resumed, though it should be a new one"))
                    }
                    _ => Ok((values, about)),
                }
            });
            match outcome {
                Ok((values, about)) => {
                    println!(
                        "  {}  round {}/{rounds}  {:<34} {}",
                        group.variant,
                        round + 1,
                        job.label,
                        report::short(&values)
                    );
                    let key = format!("connection, {}", job.peer);
                    if !results.conditions.iter().any(|(known, _)| *known == key) {
                        results.conditions.push((key, about));
                    }
                    results.enter(group.case, &group.variant, &job.label, round, values);
                }
                Err(error) => {
                    println!("  {}  round {}/{rounds}  {:<34} FAILED: {error}", group.variant, round + 1, job.label);
                    results.failures.push(format!("{at}, round {}: {error}", round + 1));
                    failed.insert(job.label.clone());
                }
            }
        }
    }
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self {
            programs: Programs::default(),
            cases: Vec::new(),
            rounds: 5,
            scale: 1.0,
            output: PathBuf::new(),
            source: PathBuf::new(),
            target: PathBuf::new(),
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            let Arg::Long(name) = argument else { return Err(argument.unexpected().into()) };
            let name = name.to_owned();
            let value = arguments.value()?;
            match name.as_str() {
                "tcl8" => options.programs.tcl8.push(value.string()?),
                "tcl9" => options.programs.tcl9.push(value.string()?),
                "package" => options.programs.package = value.into(),
                "scripts" => options.programs.scripts = value.into(),
                "programs" => options.programs.rust = value.into(),
                "tcltls" => options.programs.tcltls = value.string()? == "yes",
                "output" => options.output = value.into(),
                "source" => options.source = value.into(),
                "target" => options.target = value.into(),
                "cases" => options.cases = cases(&value.string()?)?,
                "rounds" => options.rounds = value.parse()?,
                "scale" => options.scale = value.parse()?,
                other => return Err(Error::Usage(format!("unknown option --{other}"))),
            }
        }
        if options.rounds == 0 || !(options.scale > 0.0 && options.scale <= 100.0) {
            return Err(Error::Usage("ROUNDS is at least 1, and SCALE more than 0 and at most 100".to_owned()));
        }
        if options.cases.is_empty() {
            options.cases = CASES.map(|(name, _)| name.to_owned()).into();
        }
        Ok(options)
    }
}

/// The cases of a list with spaces or commas.
fn cases(text: &str) -> Result<Vec<String>> {
    let names: Vec<String> = text.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match names.iter().find(|name| !CASES.iter().any(|(known, _)| known == name)) {
        None => Ok(names),
        Some(unknown) => {
            let known: Vec<String> = CASES.iter().map(|(name, what)| format!("  {name:<13} {what}")).collect();
            Err(Error::Usage(format!("no such case: {unknown}. There are:\n{}", known.join("\n"))))
        }
    }
}
