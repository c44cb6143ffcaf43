//! Horizontal bars with whiskers, in panels below each other on one scale.

use super::svg::{Anchor, Drawing, Scale, number, width};
use crate::report::rounded;
use crate::stats::Spread;

/// A bar: the median, with a whisker from the least to the most.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) colour: &'static str,
    pub(crate) spread: Spread,
}

/// Bars that belong together.
#[derive(Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

const WIDTH: f64 = 860.0;
const TOP: f64 = 78.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const HEADING: f64 = 26.0;
const GAP: f64 = 14.0;
/// Room at the right for the number behind the longest bar.
const RIGHT: f64 = 84.0;

/// The drawing; `None` if there is nothing to show.
pub(crate) fn draw(title: &str, subtitle: &str, panels: &[Panel], logarithmic: bool) -> Option<String> {
    let spreads = || panels.iter().flat_map(|panel| &panel.bars).map(|bar| bar.spread);
    let most = spreads().map(|spread| spread.high).fold(f64::NAN, f64::max);
    let least = spreads().map(|spread| spread.low).filter(|low| *low > 0.0).fold(f64::NAN, f64::min);
    if most.is_nan() {
        return None;
    }
    let labels = panels.iter().flat_map(|panel| &panel.bars).map(|bar| width(&bar.label)).fold(0.0, f64::max);
    let (left, right) = (24.0 + labels + 14.0, WIDTH - RIGHT);
    let scale = if logarithmic {
        // A bar needs a foot to stand on: a third of the smallest.
        Scale::logarithmic(least / 3.0, most, left, right)
    } else {
        Scale::linear(most, left, right)
    };

    let mut drawing = Drawing::new(WIDTH, title, subtitle);
    let mut y = TOP;
    for panel in panels {
        drawing.text(24.0, y + 12.0, Anchor::Start, "h", &panel.title);
        y += HEADING;
        #[allow(clippy::cast_precision_loss)] // a few bars
        let height = panel.bars.len() as f64 * STEP;
        for tick in scale.ticks() {
            let x = scale.place(tick);
            drawing.line((x, y - 4.0), (x, y + height), "#e4e7eb", 1.0);
        }
        for bar in &panel.bars {
            draw_bar(&mut drawing, &scale, bar, left, y);
            y += STEP;
        }
        drawing.line((left, y - height - 4.0), (left, y), "#8c959f", 1.0);
        y += GAP;
    }
    for tick in scale.ticks() {
        drawing.text(scale.place(tick), y, Anchor::Middle, "a", &number(tick));
    }
    Some(drawing.finish(y + 20.0))
}

fn draw_bar(drawing: &mut Drawing, scale: &Scale, bar: &Bar, left: f64, y: f64) {
    let Spread { low, median, high, count, .. } = bar.spread;
    let middle = y + STEP / 2.0 - 3.0;
    drawing.text(left - 10.0, middle + 4.0, Anchor::End, "l", &bar.label);
    drawing.bar(left, middle - BAR / 2.0, scale.place(median) - left, BAR, bar.colour);
    let mut end = scale.place(median);
    if count > 1 {
        let (from, to) = (scale.place(low), scale.place(high));
        drawing.line((from, middle), (to, middle), "#24292f", 1.2);
        for x in [from, to] {
            drawing.line((x, middle - 4.0), (x, middle + 4.0), "#24292f", 1.2);
        }
        end = end.max(to);
    }
    drawing.text(end + 7.0, middle + 4.0, Anchor::Start, "v", &shown(median));
}

fn shown(value: f64) -> String {
    if value >= 1000.0 { number(value.round()) } else { rounded(value) }
}
