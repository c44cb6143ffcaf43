//! Medians and their spread.

/// A median with the quartiles and the extremes around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The smallest value.
    pub(crate) low: f64,
    /// A quarter of the values are smaller.
    pub(crate) q1: f64,
    /// Half of the values are smaller.
    pub(crate) median: f64,
    /// A quarter of the values are larger.
    pub(crate) q3: f64,
    /// The largest value.
    pub(crate) high: f64,
    /// How many values there are.
    pub(crate) count: usize,
}

impl Spread {
    /// Of the values, which need no order; `None` if there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let at = |part| quantile(&values, part);
        Some(Self { low, q1: at(0.25), median: at(0.5), q3: at(0.75), high, count: values.len() })
    }
}

/// Between two values in proportion, as most programs do it (type 7 of Hyndman and Fan).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a few values
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let position = part * (sorted.len().saturating_sub(1)) as f64;
    let below = position.floor();
    let value = |index: f64| sorted.get(index as usize).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let (from, to) = (value(below), value(below + 1.0));
    from + (to - from) * (position - below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quartiles() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, q1: 2.0, median: 3.0, q3: 4.0, high: 5.0, count: 5 });
        let spread = Spread::of([1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, q1: 1.25, median: 1.5, q3: 1.75, high: 2.0, count: 2 });
        assert_eq!(Spread::of([]), None);
    }
}
