//! Curves as inline SVG, with their numbers for the page's script.

use std::fmt::Write;

use serde_json::json;

use super::escaped;

/// Width and height of a chart, and its margins: left, right, top, bottom.
const SIZE: [f64; 2] = [720.0, 280.0];
const MARGINS: [f64; 4] = [64.0, 12.0, 12.0, 34.0];
/// Colours that colour-blind readers can tell apart too (Paul Tol's "muted").
const COLOURS: [&str; 6] = [
    "#332288", "#cc6677", "#117733", "#88ccee", "#ddcc77", "#aa4499",
];

/// Curves over a common axis.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What the horizontal axis counts.
    pub across: String,
    /// What the vertical axis measures.
    pub up: String,
    /// The curves.
    pub series: Vec<Series>,
}

/// A curve.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<[f64; 2]>,
}

/// The lowest and highest of `values`, a unit apart if they are the same.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let values = values.filter(|x| x.is_finite());
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| {
        [low.min(x), high.max(x)]
    });
    match () {
        () if low > high => [0.0, 1.0],
        () if low == high => [low - 0.5, high + 0.5],
        () => [low, high],
    }
}

/// Round numbers within the range, some five of them.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

impl Chart {
    /// The chart; points that are no numbers are left out.
    pub(super) fn html(&self) -> String {
        let finite = |series: &Series| {
            let points = series.points.iter().copied();
            Series {
                name: series.name.clone(),
                points: points
                    .filter(|point| point.iter().all(|x| x.is_finite()))
                    .collect(),
            }
        };
        let series: Vec<Series> = self.series.iter().map(finite).collect();
        let [width, height] = SIZE;
        let [left, right, top, bottom] = MARGINS;
        let (right, bottom) = (width - right, height - bottom);
        let points = || series.iter().flat_map(|series| &series.points);
        let across = range(points().map(|point| point[0]));
        let up = range(points().map(|point| point[1]));
        let place = |range: [f64; 2], x: f64| (x - range[0]) / (range[1] - range[0]);
        let x_of = |x: f64| left + place(across, x) * (right - left);
        let y_of = |y: f64| bottom - place(up, y) * (bottom - top);
        let mut svg = String::new();
        // Writing to a text cannot fail.
        for tick in ticks(up) {
            let y = y_of(tick);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#eee\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                rounded(tick)
            );
        }
        for tick in ticks(across) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x_of(tick),
                bottom + 16.0,
                rounded(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            right,
            height - 4.0,
            escaped(&self.across)
        );
        let mut legend = Vec::new();
        for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let points = series.points.iter();
            let points = points.map(|[x, y]| format!("{:.1},{:.1}", x_of(*x), y_of(*y)));
            let points: Vec<String> = points.collect();
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                points.join(" ")
            );
            // A single point has no line.
            if let [[x, y]] = series.points[..] {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    x_of(x),
                    y_of(y)
                );
            }
            legend.push(format!(
                "<span style=\"color:{colour}\">&#9644;</span> {}",
                escaped(&series.name)
            ));
        }
        let numbers = json!({
            "left": left, "right": right, "low": across[0], "high": across[1], "unit": self.across,
            "series": series.iter().map(|series| json!({
                "name": series.name, "points": series.points,
            })).collect::<Vec<_>>(),
        });
        format!(
            "<div class=\"chart\" data-chart=\"{}\">\n<div>{}: {}</div>\n\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n{svg}\
             <line class=\"guide\" y1=\"{top}\" y2=\"{bottom}\"/>\n</svg>\n\
             <div class=\"said\">Point at the curves to read them.</div>\n</div>\n",
            escaped(&numbers.to_string()),
            escaped(&self.up),
            legend.join(" "),
            escaped(&self.up),
        )
    }
}

/// A tick without the digits that rounding errors leave.
fn rounded(tick: f64) -> String {
    let text = format!("{tick:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
