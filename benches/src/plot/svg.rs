//! The few shapes of SVG that the plots need, and their axes.

use std::fmt::Write as _;

/// A drawing that grows.
pub(crate) struct Drawing {
    body: String,
    width: f64,
}

/// Where a text is held.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// From a value to a place.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Drawing {
    /// An empty one, with a heading and a line below it.
    pub(crate) fn new(width: f64, title: &str, subtitle: &str) -> Self {
        let mut drawing = Self { body: String::new(), width };
        drawing.text(24.0, 34.0, Anchor::Start, "t", title);
        drawing.text(24.0, 54.0, Anchor::Start, "s", subtitle);
        drawing
    }

    /// A text of one of the classes below.
    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ =
            writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#);
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        );
    }

    /// A line through points.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(
            self.body,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>"#
        );
    }

    /// A filled rectangle with its corners a little rounded.
    pub(crate) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let width = width.max(0.5);
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{colour}"/>"#
        );
    }

    /// A filled circle.
    pub(crate) fn dot(&mut self, x: f64, y: f64, radius: f64, colour: &str) {
        let _ = writeln!(
            self.body,
            r##"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}" stroke="#fff" stroke-width="1"/>"##
        );
    }

    /// The whole file, of this height.
    pub(crate) fn finish(self, height: f64) -> String {
        let Self { body, width } = self;
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}">
<style>
text {{ font-family: "Inter", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; fill: #24292f; font-size: 12px }}
.t {{ font-size: 18px; font-weight: 600 }}
.s {{ font-size: 12px; fill: #57606a }}
.h {{ font-size: 13px; font-weight: 600 }}
.a {{ font-size: 11px; fill: #6e7781 }}
.v {{ font-size: 11px; font-weight: 600 }}
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}</svg>
"##
        )
    }
}

impl Scale {
    /// From 0 to `high` or a little more.
    pub(crate) fn linear(high: f64, from: f64, to: f64) -> Self {
        Self { low: 0.0, high: high.max(f64::MIN_POSITIVE) * 1.02, from, to, logarithmic: false }
    }

    /// From `low` to `high`, both above 0, or a little more.
    pub(crate) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = (low.max(1e-9), high.max(low.max(1e-9) * 1.5));
        Self { low: low / 1.15, high: high * 1.15, from, to, logarithmic: true }
    }

    /// The place of a value.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }

    /// Round values on it, for the axis.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic { self.ticks_of_decades() } else { self.ticks_in_steps() }
    }

    fn ticks_of_decades(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades > 2.5 {
            &[1.0]
        } else if decades > 1.2 {
            &[1.0, 3.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
        };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.low.log10().floor());
        while decade <= self.high {
            ticks.extend(steps.iter().map(|step| step * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| (self.low..=self.high).contains(tick));
        ticks
    }

    fn ticks_in_steps(&self) -> Vec<f64> {
        let rough = self.high / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let mut ticks = vec![0.0];
        while let Some(next) = ticks.last().map(|last| last + step).filter(|next| *next <= self.high) {
            ticks.push(next);
        }
        ticks
    }
}

/// A number on an axis.
pub(crate) fn number(value: f64) -> String {
    if value >= 1000.0 {
        let mut text = format!("{value:.0}");
        let mut at = text.len();
        while at > 3 {
            at -= 3;
            text.insert(at, '\u{202f}');
        }
        return text;
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// About how wide a text is, in pixels.
pub(crate) fn width(text: &str) -> f64 {
    #[allow(clippy::cast_precision_loss)] // short texts
    let count = text.chars().count() as f64;
    count * 6.6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_ticks() {
        let scale = Scale::linear(1470.0, 0.0, 100.0);
        assert_eq!(scale.ticks(), [0.0, 250.0, 500.0, 750.0, 1000.0, 1250.0]);
        assert!((scale.place(0.0)).abs() < 1e-9);
        let scale = Scale::logarithmic(42.0, 16000.0, 0.0, 100.0);
        assert_eq!(scale.ticks(), [100.0, 1000.0, 10000.0]);
        assert!(scale.place(42.0) > 0.0 && scale.place(16000.0) < 100.0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.25), "0.25");
        assert_eq!(number(16000.0), "16\u{202f}000");
        assert_eq!(number(300.0), "300");
    }
}
