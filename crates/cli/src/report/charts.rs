//! Small charts, as SVG without text: it stretches to any width, so what is to be read
//! stands beside it in HTML. Nothing in it is styled but by the page's own style sheet.

use maud::{Markup, html};

/// A bar: parts on top of each other, the first at the bottom.
pub struct Bar {
    /// The parts' heights, in the chart's unit.
    pub parts: Vec<f64>,
    /// What it says when somebody points at it.
    pub says: String,
}

/// A chart of bars.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What is to be seen in it, in a sentence: for whoever does not see it.
    pub summary: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// The style of each part.
    pub styles: &'a [&'a str],
    /// The top of the scale, in words.
    pub top: String,
    /// What stands below its left and right ends.
    pub ends: (String, String),
}

/// The drawing is so high; its width is what the page has.
const HEIGHT: f64 = 100.0;
/// A bar and the gap behind it.
const STEP: f64 = 10.0;
/// Few bars do not become planks.
const FEWEST_STEPS: usize = 24;

impl Chart<'_> {
    /// The chart with what is to be read about it.
    pub fn markup(&self) -> Markup {
        let steps = self.bars.len().max(FEWEST_STEPS) as f64;
        let width = steps * STEP;
        let highest = self
            .bars
            .iter()
            .map(|bar| bar.parts.iter().sum())
            .fold(0.0_f64, f64::max);
        let scale = if highest > 0.0 { HEIGHT / highest } else { 0.0 };
        html! {
            figure.chart {
                figcaption {
                    span.chart-title { (self.title) }
                    span.chart-top { (self.top) }
                }
                svg role="img" aria-label=(self.summary) viewBox=(format!("0 0 {width} {HEIGHT}"))
                    preserveAspectRatio="none" {
                    line.grid x1="0" y1="0" x2=(width) y2="0" {}
                    line.grid x1="0" y1=(HEIGHT / 2.0) x2=(width) y2=(HEIGHT / 2.0) {}
                    @for (n, bar) in self.bars.iter().enumerate() {
                        g {
                            title { (bar.says) }
                            // The whole column answers to a pointer, however low the bar.
                            rect.column x=(n as f64 * STEP) y="0" width=(STEP) height=(HEIGHT) {}
                            @for (rect, style) in rects(bar, scale).into_iter().zip(self.styles) {
                                @if rect.1 > 0.0 {
                                    rect class=(style) x=(n as f64 * STEP + 1.0) y=(round(rect.0))
                                        width=(STEP - 2.0) height=(round(rect.1)) {}
                                }
                            }
                        }
                    }
                    line.base x1="0" y1=(HEIGHT) x2=(width) y2=(HEIGHT) {}
                }
                div.chart-ends {
                    // A few bars do not reach the right end.
                    @if self.ends.0 == self.ends.1 {
                        span { (self.ends.0) }
                    } @else if self.bars.len() < FEWEST_STEPS {
                        span { (self.ends.0) " to " (self.ends.1) }
                    } @else {
                        span { (self.ends.0) }
                        span { (self.ends.1) }
                    }
                }
            }
        }
    }
}

/// Top and height of each part. What is not nothing is seen.
fn rects(bar: &Bar, scale: f64) -> Vec<(f64, f64)> {
    let mut floor = HEIGHT;
    bar.parts
        .iter()
        .map(|part| {
            let height = match part * scale {
                height if *part > 0.0 => height.max(1.5).min(floor),
                _ => 0.0,
            };
            floor -= height;
            (floor, height)
        })
        .collect()
}

fn round(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_on_each_other_within_the_drawing() {
        let bar = Bar {
            parts: vec![50.0, 0.0, 25.0],
            says: String::new(),
        };
        assert_eq!(rects(&bar, 1.0), [(50.0, 50.0), (50.0, 0.0), (25.0, 25.0)]);
    }

    #[test]
    fn one_among_thousands_is_seen() {
        let bar = Bar {
            parts: vec![10_000.0, 1.0],
            says: String::new(),
        };
        let rects = rects(&bar, HEIGHT / 10_001.0);
        assert!(rects[1].1 > 0.0 && rects[1].0 >= 0.0, "{rects:?}");
    }

    #[test]
    fn a_chart_of_nothing_is_drawn_all_the_same() {
        let chart = Chart {
            title: "Nothing",
            summary: "nothing <b>".into(),
            bars: vec![Bar {
                parts: vec![0.0],
                says: "none".into(),
            }],
            styles: &["bar"],
            top: String::new(),
            ends: (String::new(), String::new()),
        };
        let drawn = chart.markup().into_string();
        assert!(!drawn.contains("NaN"), "{drawn}");
        assert!(drawn.contains("nothing &lt;b&gt;"), "{drawn}");
    }
}
