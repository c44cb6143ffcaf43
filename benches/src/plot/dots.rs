//! How far each measurement is from its target.

use super::svg::{Anchor, Drawing, Scale, number};
use crate::report::rounded;
use crate::targets::{Goal, Row};

const WIDTH: f64 = 940.0;
const LEFT: f64 = 440.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 84.0;
const STEP: f64 = 20.0;
const HEADING: f64 = 22.0;

/// The drawing; `None` if there is nothing to show.
pub(crate) fn draw(title: &str, subtitle: &str, rows: &[Row]) -> Option<String> {
    let values: Vec<f64> = rows.iter().filter_map(parts).flatten().collect();
    let most = values.iter().copied().fold(f64::NAN, f64::max).max(1.0);
    let least = values.iter().copied().fold(f64::NAN, f64::min).min(1.0);
    if values.is_empty() {
        return None;
    }
    let scale = Scale::logarithmic(least, most, LEFT, WIDTH - RIGHT);
    let mut drawing = Drawing::new(WIDTH, title, subtitle);
    let mut places = Vec::new();
    let mut y = TOP;
    let mut last = "";
    for row in rows {
        let Some(parts) = parts(row) else { continue };
        if row.target != last {
            last = row.target;
            y += HEADING + if places.is_empty() { -14.0 } else { 4.0 };
            places.push((None, y, row));
            y += STEP;
        }
        places.push((Some(parts), y, row));
        y += STEP;
    }
    let bottom = y - 6.0;
    for tick in scale.ticks() {
        let x = scale.place(tick);
        drawing.line((x, TOP - 12.0), (x, bottom), "#e4e7eb", 1.0);
        drawing.text(x, bottom + 16.0, Anchor::Middle, "a", &number(tick));
    }
    drawing.line((scale.place(1.0), TOP - 12.0), (scale.place(1.0), bottom), "#24292f", 1.4);
    for (parts, y, row) in places {
        let Some([low, median, high]) = parts else {
            let heading = format!("{} ({})", row.target.replace('`', ""), row.goal.text(row.unit));
            drawing.text(24.0, y, Anchor::Start, "h", &heading);
            continue;
        };
        drawing.text(36.0, y, Anchor::Start, "l", &row.form);
        let colour = if row.is_met() == Some(true) { "#2e8b57" } else { "#c9372c" };
        let at = y - 4.0;
        drawing.line((scale.place(low), at), (scale.place(high), at), colour, 2.0);
        drawing.dot(scale.place(median), at, 5.0, colour);
        let measured = row.measured.map(|measured| rounded(measured.median)).unwrap_or_default();
        drawing.text(WIDTH - RIGHT + 16.0, y, Anchor::Start, "v", &format!("{measured}{}", row.unit));
    }
    Some(drawing.finish(bottom + 34.0))
}

/// Least, median and most, each divided by the target, or the target by it where less is better.
fn parts(row: &Row) -> Option<[f64; 3]> {
    let measured = row.measured?;
    let values = [measured.low, measured.median, measured.high];
    match row.goal {
        Goal::AtLeast(goal) => Some(values.map(|value| value / goal)),
        Goal::AtMost(goal) => Some(values.map(|value| goal / value.max(goal / 100.0))),
        Goal::None => None,
    }
}
