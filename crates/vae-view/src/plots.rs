//! Plots with axes: the latent plane and the loss curve. The font is built in, so none needs to be installed.

mod kl;
mod loss;
#[cfg(test)]
mod tests;

use std::io::Cursor;
use std::sync::Once;

use image::{ImageFormat, RgbImage};
use plotters::backend::BitMapBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, Rectangle, Text};
use plotters::style::{Color, FontStyle, HSLColor, IntoFont, RGBColor, WHITE, register_font};

use vae_data::Images;

use crate::PictureError;

pub use kl::kl;
pub use loss::{LossPoint, loss};

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

const FONT: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-ascii.ttf");
const FAMILY: &str = "sans-serif";
const TITLE: (&str, u32) = (FAMILY, 20);

/// Ten colours that colour-blind readers can tell apart too (Paul Tol's "muted", with black).
const TEN_COLOURS: [RGBColor; 10] = [
    RGBColor(0x33, 0x22, 0x88),
    RGBColor(0x88, 0xcc, 0xee),
    RGBColor(0x11, 0x77, 0x33),
    RGBColor(0xdd, 0xcc, 0x77),
    RGBColor(0xcc, 0x66, 0x77),
    RGBColor(0x88, 0x22, 0x55),
    RGBColor(0x44, 0xaa, 0x99),
    RGBColor(0x99, 0x99, 0x33),
    RGBColor(0xaa, 0x44, 0x99),
    RGBColor(0x00, 0x00, 0x00),
];

/// The colour of the class at `index` of `count`. Of more than ten, neighbours differ in hue and in lightness.
fn colour(index: usize, count: usize) -> RGBColor {
    /// The golden ratio: its multiples never come near each other on the circle of hues.
    const HUES: f64 = 0.618_033_988_75;
    const LIGHTNESSES: [f64; 4] = [0.3, 0.45, 0.6, 0.75];
    if count <= TEN_COLOURS.len() {
        return TEN_COLOURS[index];
    }
    let lightness = LIGHTNESSES[index % LIGHTNESSES.len()];
    let (r, g, b) = HSLColor((index as f64 * HUES).fract(), 0.75, lightness).rgb();
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

/// `latent.png`: scatter plot of a plane in the latent space of `run`, each point in the colour of its label, with a legend.
///
/// # Errors
/// If it cannot be drawn.
pub fn scatter(plane: &Plane, images: &Images, run: &str) -> Result<Vec<u8>, PictureError> {
    /// Width and height of the plot, and least and largest width of the legend.
    const SIDE: u32 = 800;
    const LEGEND: [u32; 2] = [100, 320];
    let mu = &plane.points;
    let names = images.class_names();
    let classes = images.classes().unwrap_or_else(|| vec![0; images.count()]);
    let count = names.len().max(1);
    let reach = mu.iter().fold(1f32, |reach, value| reach.max(value.abs())) * 1.05;
    let longest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let legend = (NAME_START as u32 + 15 + LETTER * longest as u32).clamp(LEGEND[0], LEGEND[1]);
    draw([SIDE + legend, SIDE], |area| {
        let (left, bar) = area.split_horizontally(SIDE);
        let mut chart = ChartBuilder::on(&left)
            .caption(format!("Latent space of {run}"), TITLE)
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

/// Where names begin in a legend, and the width of a letter, pixels.
const NAME_START: i32 = 45;
const LETTER: u32 = 11;

/// One block per class, the first at the bottom, and the class names beside them, as many as there is room for.
fn colour_bar(bar: &Area<'_>, classes: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    const LINE: usize = 20;
    let (width, height) = bar.dim_in_pixel();
    let (top, bottom) = (50, height as i32 - 65);
    let edge = |index: usize| bottom - (bottom - top) * index as i32 / classes.len() as i32;
    let most = ((width as i32 - NAME_START) as u32 / LETTER) as usize;
    let every = (classes.len() * LINE)
        .div_ceil((bottom - top) as usize)
        .max(1);
    for (index, label) in classes.iter().enumerate() {
        let (low, high) = (edge(index), edge(index + 1));
        bar.draw(&Rectangle::new(
            [(5, high), (35, low)],
            colour(index, classes.len()).filled(),
        ))?;
        if index % every != 0 {
            continue;
        }
        let mut shown: String = label.chars().take(most).collect();
        if shown.len() < label.len() {
            shown.truncate(shown.len().saturating_sub(2));
            shown += "..";
        }
        let place = (NAME_START, (low + high) / 2 - 9);
        bar.draw(&Text::new(shown, place, (FAMILY, 20).into_font()))?;
    }
    Ok(())
}
