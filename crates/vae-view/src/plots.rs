//! Plots with axes: the latent plane and the loss curve. The font is built in, so none needs to be installed.

mod kl;

use std::io::Cursor;
use std::sync::Once;

use image::{ImageFormat, RgbImage};
use plotters::backend::BitMapBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, Rectangle, Text};
use plotters::series::LineSeries;
use plotters::style::{
    Color, FontStyle, HSLColor, IntoFont, RGBColor, ShapeStyle, WHITE, register_font,
};

use vae_data::Images;

use crate::PictureError;

pub use kl::kl;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

const FONT: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-ascii.ttf");
const FAMILY: &str = "sans-serif";

/// Ten colours that most people can tell apart (Tableau 10).
const TEN_COLOURS: [RGBColor; 10] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0xbc, 0xbd, 0x22),
    RGBColor(0x17, 0xbe, 0xcf),
];

fn colour(index: usize, count: usize) -> RGBColor {
    if count <= TEN_COLOURS.len() {
        return TEN_COLOURS[index];
    }
    let (r, g, b) = HSLColor(index as f64 / count as f64, 0.7, 0.5).rgb();
    RGBColor(r, g, b)
}

/// Draws on a white canvas of `width` x `height` pixels and returns the PNG file.
fn draw(
    [width, height]: [u32; 2],
    paint: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<Vec<u8>, PictureError> {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // Fails only for an invalid font, and then every text below fails with an error.
        let _ = register_font(FAMILY, FontStyle::Normal, FONT);
    });
    let picture = |error: &dyn std::fmt::Display| PictureError::Encoding(error.to_string());
    let mut pixels = vec![0; (3 * width * height) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| picture(&error))?;
        paint(&area).map_err(|error| picture(&error))?;
        area.present().map_err(|error| picture(&error))?;
    }
    let image =
        RgbImage::from_raw(width, height, pixels).ok_or_else(|| picture(&"its size overflows"))?;
    let mut png = Cursor::new(Vec::new());
    image
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| picture(&error))?;
    Ok(png.into_inner())
}

/// `latent.png`: scatter plot of the posterior means `mu`, `[count, latent]`, in the two most active dimensions.
///
/// # Errors
/// If it cannot be drawn.
pub fn latent(mu: &[f32], latent: usize, images: &Images) -> Result<Vec<u8>, PictureError> {
    let plane = Plane::most_active(mu, latent);
    scatter(&plane, images)
}

/// Points in a plane, and the labels of its axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Coordinates, `[count, 2]`.
    pub points: Vec<f32>,
    /// Labels of the horizontal and the vertical axis.
    pub axes: [String; 2],
}

impl Plane {
    /// `mu`, `[count, latent]`, in two of its dimensions, counted from 0; the same one twice if there is only one.
    #[must_use]
    pub fn of_dimensions(mu: &[f32], latent: usize, [right, up]: [usize; 2]) -> Self {
        let rows = mu.chunks_exact(latent);
        Self {
            points: rows.flat_map(|row| [row[right], row[up]]).collect(),
            axes: [right, up].map(|dimension| format!("mu of latent {}", dimension + 1)),
        }
    }

    /// `mu` in its two dimensions of largest variance, in index order.
    #[must_use]
    pub fn most_active(mu: &[f32], latent: usize) -> Self {
        let activity = variances(mu, latent);
        let mut order: Vec<usize> = (0..latent).collect();
        order.sort_by(|&a, &b| activity[b].total_cmp(&activity[a]));
        let mut chosen = [order[0], *order.get(1).unwrap_or(&order[0])];
        chosen.sort_unstable();
        Self::of_dimensions(mu, latent, chosen)
    }

    /// `mu` in the plane of its first two principal components.
    #[must_use]
    pub fn principal(mu: &[f32], latent: usize) -> Self {
        let (means, covariance) = covariance(mu, latent);
        let total: f64 = (0..latent).map(|i| covariance[i * latent + i]).sum();
        let mut rest = covariance;
        let mut components = Vec::new();
        for _ in 0..2 {
            let (vector, value) = largest_component(&rest, latent);
            for i in 0..latent {
                for j in 0..latent {
                    rest[i * latent + j] -= value * vector[i] * vector[j];
                }
            }
            components.push((vector, value));
        }
        let along = |row: &[f32], vector: &[f64]| {
            let terms = row.iter().zip(&means).zip(vector);
            terms
                .map(|((&x, mean), v)| (f64::from(x) - mean) * v)
                .sum::<f64>() as f32
        };
        let rows = mu.chunks_exact(latent);
        let points =
            rows.flat_map(|row| [0, 1].map(|index: usize| along(row, &components[index].0)));
        let axis = |index: usize| {
            let share = 100.0 * components[index].1 / total.max(f64::MIN_POSITIVE);
            format!(
                "principal component {} of mu ({share:.0} % of the variance)",
                index + 1
            )
        };
        Self {
            points: points.collect(),
            axes: [axis(0), axis(1)],
        }
    }
}

/// Means and covariances of the columns of `[count, columns]`.
fn covariance(values: &[f32], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (values.len() / columns).max(1) as f64;
    let mut means = vec![0.0; columns];
    for row in values.chunks_exact(columns) {
        for (mean, &x) in means.iter_mut().zip(row) {
            *mean += f64::from(x) / count;
        }
    }
    let mut covariance = vec![0.0; columns * columns];
    for row in values.chunks_exact(columns) {
        for i in 0..columns {
            for j in 0..columns {
                let product = (f64::from(row[i]) - means[i]) * (f64::from(row[j]) - means[j]);
                covariance[i * columns + j] += product / count;
            }
        }
    }
    (means, covariance)
}

/// Variance of each latent dimension of `mu`, `[count, latent]`, over the data: Burda et al. call a dimension active if it
/// is above 0.01.
#[must_use]
pub fn variances(mu: &[f32], latent: usize) -> Vec<f64> {
    let (_, covariance) = covariance(mu, latent);
    (0..latent).map(|i| covariance[i * latent + i]).collect()
}

/// The eigenvector of the largest eigenvalue of a symmetric matrix, and the eigenvalue, by power iteration.
fn largest_component(matrix: &[f64], side: usize) -> (Vec<f64>, f64) {
    const ITERATIONS: usize = 1000;
    // Any start that is not orthogonal to the result works; a vector of equal components might be.
    let mut vector: Vec<f64> = (0..side).map(|i| 1.0 + i as f64 / 7.0).collect();
    let mut value = 0.0;
    for _ in 0..ITERATIONS {
        let rows = matrix.chunks_exact(side);
        let product = rows.map(|row| row.iter().zip(&vector).map(|(a, b)| a * b).sum::<f64>());
        let product: Vec<f64> = product.collect();
        value = product.iter().map(|x| x * x).sum::<f64>().sqrt();
        if value == 0.0 {
            break;
        }
        vector = product.iter().map(|x| x / value).collect();
    }
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    (vector.iter().map(|x| x / norm).collect(), value)
}

/// Scatter plot of a plane as PNG, each point in the colour of its label, with a colour bar.
///
/// # Errors
/// If it cannot be drawn.
pub fn scatter(plane: &Plane, images: &Images) -> Result<Vec<u8>, PictureError> {
    let mu = &plane.points;
    let names = images.class_names();
    let classes = images.classes().unwrap_or_else(|| vec![0; images.count()]);
    let count = names.len().max(1);
    let reach = mu.iter().fold(1f32, |reach, value| reach.max(value.abs())) * 1.05;
    draw([900, 800], |area| {
        let (left, bar) = area.split_horizontally(800);
        let mut chart = ChartBuilder::on(&left)
            .margin(15)
            .set_label_area_size(LabelAreaPosition::Left, 55)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(-reach..reach, -reach..reach)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc(&plane.axes[0])
            .y_desc(&plane.axes[1])
            .label_style((FAMILY, 18))
            .draw()?;
        let point = |(mu, &class): (&[f32], &u32)| {
            Circle::new(
                (mu[0], mu[1]),
                2,
                colour(class as usize, count).mix(0.6).filled(),
            )
        };
        chart.draw_series(mu.chunks_exact(2).zip(&classes).map(point))?;
        colour_bar(&bar, names)
    })
}

/// Colour bar with one block per class, the first at the bottom, and the class names beside it.
fn colour_bar(bar: &Area<'_>, classes: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let (top, bottom) = (15, bar.dim_in_pixel().1 as i32 - 65);
    let edge = |index: usize| bottom - (bottom - top) * index as i32 / classes.len() as i32;
    for (index, label) in classes.iter().enumerate() {
        let (low, high) = (edge(index), edge(index + 1));
        bar.draw(&Rectangle::new(
            [(5, high), (35, low)],
            colour(index, classes.len()).filled(),
        ))?;
        let text = Text::new(
            label.chars().take(6).collect::<String>(),
            (45, (low + high) / 2 - 9),
            (FAMILY, 20).into_font(),
        );
        bar.draw(&text)?;
    }
    Ok(())
}

/// `loss.png`: training and validation loss of each epoch, nats per sample.
///
/// # Errors
/// If it cannot be drawn.
pub fn loss(epochs: &[(usize, [f64; 2])]) -> Result<Vec<u8>, PictureError> {
    let all = epochs.iter().flat_map(|(_, losses)| *losses);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = 0.05 * (high - low).max(1e-3);
    // The axis needs two distinct ends, even after a single epoch.
    let last = epochs.last().map_or(1, |(epoch, _)| *epoch).max(2);
    draw([900, 600], |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(15)
            .set_label_area_size(LabelAreaPosition::Left, 70)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(1..last, low - margin..high + margin)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("epoch")
            .y_desc("loss, nats per image")
            .label_style((FAMILY, 18))
            .draw()?;
        let mut line = |name: &str,
                        index: usize,
                        points: Vec<(usize, f64)>|
         -> Result<(), Box<dyn std::error::Error>> {
            let style = ShapeStyle {
                color: TEN_COLOURS[index].to_rgba(),
                filled: true,
                stroke_width: 3,
            };
            chart
                .draw_series(LineSeries::new(points.clone(), style).point_size(3))?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 2), (x + 20, y + 2)], style));
            Ok(())
        };
        for (index, name) in ["training", "validation"].into_iter().enumerate() {
            let points = epochs.iter().map(|(epoch, losses)| (*epoch, losses[index]));
            line(name, index, points.collect())?;
        }
        chart
            .configure_series_labels()
            .label_font((FAMILY, 18))
            .background_style(WHITE.filled())
            .draw()?;
        Ok(())
    })
}
