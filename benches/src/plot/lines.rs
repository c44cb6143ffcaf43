//! Curves over the number of connections, both axes logarithmic.

use super::svg::{Anchor, Drawing, Scale, number};
use crate::stats::Spread;

/// A curve: medians, with whiskers from the least to the most.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) colour: &'static str,
    pub(crate) points: Vec<(f64, Spread)>,
}

/// Curves of one value.
pub(crate) struct Field {
    pub(crate) title: String,
    pub(crate) curves: Vec<Curve>,
}

const SIDE: f64 = 290.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const GAP: f64 = 66.0;
const TOP: f64 = 112.0;

/// The drawing, its fields beside each other; `None` if there is nothing to show.
pub(crate) fn draw(title: &str, fields: &[Field]) -> Option<String> {
    let points = || fields.iter().flat_map(|field| &field.curves).flat_map(|curve| &curve.points);
    let most = points().map(|(x, _)| *x).fold(f64::NAN, f64::max);
    let least = points().map(|(x, _)| *x).fold(f64::NAN, f64::min);
    if most.is_nan() {
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // three
    let count = fields.len() as f64;
    let mut drawing = Drawing::new(
        LEFT + count * (SIDE + GAP) - GAP + 30.0,
        title,
        "median and range over the number of connections, both axes logarithmic",
    );
    legend(&mut drawing, fields.first()?);
    let mut left = LEFT;
    for field in fields {
        let x = Scale::logarithmic(least, most, left, left + SIDE);
        draw_field(&mut drawing, field, &x, left);
        left += SIDE + GAP;
    }
    Some(drawing.finish(TOP + HEIGHT + 52.0))
}

fn legend(drawing: &mut Drawing, field: &Field) {
    let mut x = 24.0;
    for curve in &field.curves {
        drawing.line((x, 76.0), (x + 18.0, 76.0), curve.colour, 3.0);
        drawing.text(x + 24.0, 80.0, Anchor::Start, "l", &curve.label);
        x += 42.0 + super::svg::width(&curve.label);
    }
}

fn draw_field(drawing: &mut Drawing, field: &Field, x: &Scale, left: f64) {
    let spreads = || field.curves.iter().flat_map(|curve| &curve.points).map(|(_, spread)| spread);
    let most = spreads().map(|spread| spread.high).fold(1.0, f64::max);
    let least = spreads().map(|spread| spread.low).fold(most, f64::min);
    let y = Scale::logarithmic(least, most, TOP + HEIGHT, TOP);
    drawing.text(left, TOP - 10.0, Anchor::Start, "h", &field.title);
    for tick in y.ticks() {
        drawing.line((left, y.place(tick)), (left + SIDE, y.place(tick)), "#e4e7eb", 1.0);
        drawing.text(left - 6.0, y.place(tick) + 4.0, Anchor::End, "a", &number(tick));
    }
    for tick in [1.0, 10.0, 100.0, 1000.0] {
        let at = x.place(tick);
        if (left..=left + SIDE).contains(&at) {
            drawing.line((at, TOP), (at, TOP + HEIGHT), "#e4e7eb", 1.0);
            drawing.text(at, TOP + HEIGHT + 16.0, Anchor::Middle, "a", &number(tick));
        }
    }
    drawing.text(left + SIDE / 2.0, TOP + HEIGHT + 34.0, Anchor::Middle, "a", "connections");
    drawing.line((left, TOP + HEIGHT), (left + SIDE, TOP + HEIGHT), "#8c959f", 1.0);
    for curve in &field.curves {
        let places: Vec<(f64, f64)> =
            curve.points.iter().map(|(at, spread)| (x.place(*at), y.place(spread.median))).collect();
        drawing.path(&places, curve.colour);
        for (at, spread) in &curve.points {
            let at = x.place(*at);
            drawing.line((at, y.place(spread.low)), (at, y.place(spread.high)), curve.colour, 1.2);
            drawing.dot(at, y.place(spread.median), 3.6, curve.colour);
        }
    }
}
