//! `kl.png`: KL divergence of each latent dimension by epoch.

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::{Rectangle, Text};
use plotters::style::{Color, IntoFont, RGBColor};

use super::{Area, FAMILY, TITLE, draw};
use crate::PictureError;

/// Maximum number of dimensions shown: more would be thinner than a pixel.
const SHOWN: usize = 512;

/// Heat map of `run` with a row per latent dimension, the largest at the top, and a column per epoch: darker is a larger
/// divergence from the standard normal. `epochs` are epoch numbers with the divergences, nats. `None` without epochs.
///
/// # Errors
/// If it cannot be drawn.
pub fn kl(epochs: &[(usize, &[f64])], run: &str) -> Result<Option<Vec<u8>>, PictureError> {
    let known = epochs.iter().filter(|(_, kl)| !kl.is_empty());
    let known: Vec<(usize, &[f64])> = known.copied().collect();
    let (Some((first, _)), Some((last, of_last))) = (known.first(), known.last()) else {
        return Ok(None);
    };
    let mut order: Vec<usize> = (0..of_last.len()).collect();
    order.sort_by(|&a, &b| of_last[b].total_cmp(&of_last[a]));
    order.truncate(SHOWN);
    let value = |kl: &[f64], dimension: usize| kl.get(dimension).copied().unwrap_or(0.0);
    let all = known
        .iter()
        .flat_map(|(_, kl)| order.iter().map(|&d| value(kl, d)));
    // A colour scale adapted to a model with next to no KL would make noise look large.
    let most = all.fold(0.1, f64::max);
    let rows = order.len();
    let png = draw([900, 600], |area| {
        let (left, bar) = area.split_horizontally(800);
        let (start, end) = (*first as f64 - 0.5, *last as f64 + 0.5);
        let mut chart = ChartBuilder::on(&left)
            .caption(format!("KL of the latent dimensions of {run}"), TITLE)
            .margin(15)
            .set_label_area_size(LabelAreaPosition::Left, 70)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(start..end, rows as f64 + 0.5..0.5)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("epoch")
            .y_desc("latent dimensions, by KL in the last epoch")
            .x_labels(ticks(last - first + 1))
            .y_labels(ticks(rows))
            .x_label_formatter(&whole)
            .y_label_formatter(&whole)
            .label_style((FAMILY, 18))
            .draw()?;
        let cells = known.iter().flat_map(|&(epoch, kl)| {
            let x = epoch as f64;
            order.iter().enumerate().map(move |(row, &dimension)| {
                let corners = [(x - 0.5, row as f64 + 0.5), (x + 0.5, row as f64 + 1.5)];
                Rectangle::new(corners, heat(value(kl, dimension) / most).filled())
            })
        });
        chart.draw_series(cells)?;
        scale(&bar, most)
    })?;
    Ok(Some(png))
}

/// At most how many ticks an axis of `count` whole numbers has: one each where they fit.
fn ticks(count: usize) -> usize {
    count.min(20) + 1
}

/// The label of a tick: none between whole numbers.
fn whole(number: &f64) -> String {
    if number.fract() == 0.0 {
        format!("{number:.0}")
    } else {
        String::new()
    }
}

/// Colour scale from 0, at the bottom, to `most`.
fn scale(bar: &Area<'_>, most: f64) -> Result<(), Box<dyn std::error::Error>> {
    const STEPS: i32 = 100;
    let (top, bottom) = (15, bar.dim_in_pixel().1 as i32 - 65);
    let edge = |step: i32| bottom - (bottom - top) * step / STEPS;
    for step in 0..STEPS {
        let colour = heat(f64::from(step) / f64::from(STEPS - 1));
        bar.draw(&Rectangle::new(
            [(5, edge(step)), (25, edge(step + 1))],
            colour.filled(),
        ))?;
    }
    for (share, step) in [(0.0, 0), (0.5, STEPS / 2), (1.0, STEPS)] {
        let text = format!("{:.2}", most * share);
        bar.draw(&Text::new(
            text,
            (30, edge(step) - 9),
            (FAMILY, 16).into_font(),
        ))?;
    }
    bar.draw(&Text::new(
        "nats",
        (30, bottom + 20),
        (FAMILY, 16).into_font(),
    ))?;
    Ok(())
}

/// Colour map from white at 0 to dark blue at 1.
fn heat(share: f64) -> RGBColor {
    let between = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(
        between(255.0, 8.0),
        between(255.0, 48.0),
        between(255.0, 107.0),
    )
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::{AsRangedCoord, Ranged};

    use super::*;

    /// The labels of an axis of `count` whole numbers between `ends`.
    fn labels(ends: [f64; 2], count: usize) -> Vec<String> {
        let axis: <std::ops::Range<f64> as AsRangedCoord>::CoordDescType =
            (ends[0]..ends[1]).into();
        let labels = axis.key_points(ticks(count)).into_iter();
        let labels = labels.map(|tick| whole(&tick));
        labels.filter(|label| !label.is_empty()).collect()
    }

    #[test]
    fn axes_number_whole_things_once_and_all_of_them_where_they_fit() {
        for count in 1..=300_usize {
            let ends = [count as f64 + 0.5, 0.5];
            for ends in [ends, [ends[1], ends[0]]] {
                let mut numbers: Vec<usize> = labels(ends, count)
                    .iter()
                    .map(|label| label.parse().expect("a whole number"))
                    .collect();
                numbers.sort_unstable();
                let expected = numbers.len();
                numbers.dedup();
                assert_eq!(numbers.len(), expected, "{count}: {numbers:?}");
                assert!(numbers.iter().all(|number| (1..=count).contains(number)));
                assert!((1..=21).contains(&numbers.len()), "{count}: {numbers:?}");
                if count <= 20 {
                    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
                }
            }
        }
        assert_eq!(labels([2.5, 0.5], 2), ["1", "2"]);
    }
}
