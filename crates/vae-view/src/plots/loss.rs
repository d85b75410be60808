//! `loss.png`: the loss and its terms by epoch.

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::Rectangle;
use plotters::series::LineSeries;
use plotters::style::{Color, ShapeStyle, WHITE};

use super::{Area, FAMILY, TEN_COLOURS, TITLE, draw};
use crate::PictureError;

/// Losses of one epoch, nats per sample: of training and of validation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// The loss.
    pub loss: [f64; 2],
    /// The reconstruction term.
    pub recon: [f64; 2],
    /// The KL term, without its weight.
    pub kl: [f64; 2],
}

/// A line of a plot: its name, the place of its colour, and its value in each epoch.
type Line = (&'static str, usize, fn(&LossPoint) -> f64);

/// Loss and reconstruction term above, the KL term, which is of another size, below.
const PANELS: [(u32, &[Line]); 2] = [
    (
        350,
        &[
            ("training loss", 1, |point| point.loss[0]),
            ("validation loss", 0, |point| point.loss[1]),
            ("validation reconstruction", 4, |point| point.recon[1]),
        ],
    ),
    (
        250,
        &[
            ("training KL", 6, |point| point.kl[0]),
            ("validation KL", 2, |point| point.kl[1]),
        ],
    ),
];

/// `loss.png`: loss, reconstruction and KL term of each epoch of `run`.
///
/// # Errors
/// If it cannot be drawn.
pub fn loss(epochs: &[LossPoint], run: &str) -> Result<Vec<u8>, PictureError> {
    let height = PANELS.iter().map(|(height, _)| height).sum();
    draw([900, height], |area| {
        let (upper, lower) = area.split_vertically(PANELS[0].0);
        panel(&upper, epochs, PANELS[0].1, Some(format!("Loss of {run}")))?;
        panel(&lower, epochs, PANELS[1].1, None)
    })
}

fn panel(
    area: &Area<'_>,
    epochs: &[LossPoint],
    lines: &[Line],
    title: Option<String>,
) -> Result<(), Box<dyn std::error::Error>> {
    let values = lines
        .iter()
        .flat_map(|(_, _, value)| epochs.iter().map(value));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = 0.05 * (high - low).max(1e-3);
    // The axis needs two distinct ends, even after a single epoch.
    let last = epochs.last().map_or(1, |point| point.epoch).max(2);
    let mut builder = ChartBuilder::on(area);
    if let Some(title) = title {
        builder.caption(title, TITLE);
    }
    let mut chart = builder
        .margin(15)
        .set_label_area_size(LabelAreaPosition::Left, 70)
        .set_label_area_size(LabelAreaPosition::Bottom, 50)
        .build_cartesian_2d(1..last, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("epoch")
        .y_desc("nats per sample")
        .y_labels(6)
        .label_style((FAMILY, 18))
        .draw()?;
    for &(name, colour, value) in lines {
        let style = ShapeStyle {
            color: TEN_COLOURS[colour].to_rgba(),
            filled: true,
            stroke_width: 3,
        };
        let points = epochs.iter().map(|point| (point.epoch, value(point)));
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 2), (x + 20, y + 2)], style));
    }
    chart
        .configure_series_labels()
        .label_font((FAMILY, 18))
        .background_style(WHITE.filled())
        .draw()?;
    Ok(())
}
