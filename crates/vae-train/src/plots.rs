//! Diagrams with axes: the latent plane and the loss curve. The font is part of the program: a server needs none.

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

use crate::{EpochReport, TrainError};

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

const FONT: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-ascii.ttf");
const FAMILY: &str = "sans-serif";

/// Ten colours that stay apart for most eyes (Tableau 10).
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

/// Draws on a white canvas of `width` x `height` pixels and gives the PNG file.
fn draw(
    [width, height]: [u32; 2],
    paint: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<Vec<u8>, TrainError> {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // Fails only for bytes that are no font, and then every text below fails with a message.
        let _ = register_font(FAMILY, FontStyle::Normal, FONT);
    });
    let picture = |error: &dyn std::fmt::Display| TrainError::Picture(error.to_string());
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

/// `latent.png`: each image at its posterior mean `mu`, `[count, 2]`, in the colour of its label, with a colour bar.
pub(crate) fn latent(mu: &[f32], labels: &[u8]) -> Result<Vec<u8>, TrainError> {
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let class = |label: &u8| classes.partition_point(|known| known < label);
    let reach = mu.iter().fold(1f32, |reach, value| reach.max(value.abs())) * 1.05;
    draw([900, 800], |area| {
        let (plane, bar) = area.split_horizontally(800);
        let mut chart = ChartBuilder::on(&plane)
            .margin(15)
            .set_label_area_size(LabelAreaPosition::Left, 55)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(-reach..reach, -reach..reach)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("mu of latent 1")
            .y_desc("mu of latent 2")
            .label_style((FAMILY, 18))
            .draw()?;
        let point = |(mu, label): (&[f32], &u8)| {
            Circle::new(
                (mu[0], mu[1]),
                2,
                colour(class(label), classes.len()).mix(0.6).filled(),
            )
        };
        chart.draw_series(mu.chunks_exact(2).zip(labels).map(point))?;
        colour_bar(&bar, &classes)
    })
}

/// One block of colour per class, the first at the bottom, with the class beside it.
fn colour_bar(bar: &Area<'_>, classes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let (top, bottom) = (15, bar.dim_in_pixel().1 as i32 - 65);
    let edge = |index: usize| bottom - (bottom - top) * index as i32 / classes.len() as i32;
    for (index, label) in classes.iter().enumerate() {
        let (low, high) = (edge(index), edge(index + 1));
        bar.draw(&Rectangle::new(
            [(5, high), (35, low)],
            colour(index, classes.len()).filled(),
        ))?;
        let text = Text::new(
            label.to_string(),
            (45, (low + high) / 2 - 9),
            (FAMILY, 20).into_font(),
        );
        bar.draw(&text)?;
    }
    Ok(())
}

/// `loss.png`: training and validation loss by epoch, nats per image.
pub(crate) fn loss(epochs: &[EpochReport], beta: f32) -> Result<Vec<u8>, TrainError> {
    let training = |report: &EpochReport| (report.epoch, report.train.total(beta));
    let validation = |report: &EpochReport| (report.epoch, report.validation.total(beta));
    let all = || {
        epochs
            .iter()
            .flat_map(|report| [training(report).1, validation(report).1])
    };
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = 0.05 * (high - low).max(1e-3);
    // An axis needs two ends, also after a single epoch.
    let last = epochs.last().map_or(1, |report| report.epoch).max(2);
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
        line("training", 0, epochs.iter().map(training).collect())?;
        line("validation", 1, epochs.iter().map(validation).collect())?;
        chart
            .configure_series_labels()
            .label_font((FAMILY, 18))
            .background_style(WHITE.filled())
            .draw()?;
        Ok(())
    })
}
