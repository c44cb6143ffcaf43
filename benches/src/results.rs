//! What was measured.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stats::Spread;

/// One run, or one round of a case: its values by name. The name says the unit.
pub(crate) type Values = BTreeMap<String, f64>;

/// The runs of one peer in one case.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// `bulk`, `connect` …
    pub(crate) case: String,
    /// Which form of the case: `down 64 KB`, `ecdsa` …
    pub(crate) variant: String,
    /// Who: `ours-8.6 copy` …
    pub(crate) peer: String,
    /// The runs by round.
    pub(crate) rounds: BTreeMap<usize, Values>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The conditions: machine, versions, sizes.
    pub(crate) conditions: Vec<(String, String)>,
    /// The measurements.
    pub(crate) series: Vec<Series>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

impl Results {
    /// Enters a run.
    pub(crate) fn enter(&mut self, case: &str, variant: &str, peer: &str, round: usize, values: Values) {
        let same = |series: &&mut Series| series.case == case && series.variant == variant && series.peer == peer;
        if let Some(series) = self.series.iter_mut().find(same) {
            series.rounds.insert(round, values);
            return;
        }
        let [case, variant, peer] = [case, variant, peer].map(str::to_owned);
        self.series.push(Series { case, variant, peer, rounds: BTreeMap::from([(round, values)]) });
    }

    /// Notes once why something was left out.
    pub(crate) fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.skipped.contains(&reason) {
            self.skipped.push(reason);
        }
    }

    /// The series of a peer in a case.
    pub(crate) fn find(&self, case: &str, variant: &str, peer: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.case == case && series.variant == variant && series.peer == peer)
    }

    /// A value combined with another peer's of the same round, round by round.
    pub(crate) fn compare(
        &self,
        case: &str,
        (variant, peer): (&str, &str),
        (other_variant, other_peer): (&str, &str),
        value: &str,
        combine: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let other = self.find(case, other_variant, other_peer)?;
        let pairs = self.find(case, variant, peer)?.rounds.iter().filter_map(|(round, values)| {
            let (a, b) = (values.get(value)?, other.rounds.get(round)?.get(value)?);
            Some(combine(*a, *b))
        });
        Spread::of(pairs.filter(|combined| combined.is_finite()))
    }

    /// For `results.json`.
    pub(crate) fn to_json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|series| {
                let medians: BTreeMap<&str, f64> =
                    series.names().into_iter().filter_map(|name| Some((name, series.spread(name)?.median))).collect();
                json!({
                    "case": series.case,
                    "variant": series.variant,
                    "peer": series.peer,
                    "median": medians,
                    "rounds": series.rounds.values().collect::<Vec<_>>(),
                })
            })
            .collect();
        let conditions: BTreeMap<&str, &str> = self.conditions.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        json!({
            "conditions": conditions,
            "series": series,
            "skipped": self.skipped,
            "failures": self.failures,
        })
    }
}

impl Series {
    /// The spread of a value over the rounds.
    pub(crate) fn spread(&self, value: &str) -> Option<Spread> {
        Spread::of(self.rounds.values().filter_map(|values| values.get(value).copied()))
    }

    /// The names of all its values.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rounds.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut results = Results::default();
        for (round, (a, b)) in [(10.0, 5.0), (30.0, 10.0), (80.0, 20.0)].into_iter().enumerate() {
            results.enter("c", "v", "a", round, Values::from([("per_s".to_owned(), a)]));
            results.enter("c", "v", "b", round, Values::from([("per_s".to_owned(), b)]));
        }
        // A round that one of them lacks does not count.
        results.enter("c", "v", "a", 3, Values::from([("per_s".to_owned(), 1000.0)]));
        let spread = results.compare("c", ("v", "a"), ("v", "b"), "per_s", |a, b| a / b).unwrap();
        assert_eq!((spread.low, spread.median, spread.high, spread.count), (2.0, 3.0, 4.0, 3));
        assert_eq!(results.compare("c", ("v", "a"), ("v", "x"), "per_s", |a, b| a / b), None);
    }
}
