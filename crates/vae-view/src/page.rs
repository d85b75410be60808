//! A page of HTML in one file: texts, tables, curves that can be pointed at, bars and pictures, of one subject or of two side by
//! side. Nothing in it is loaded from elsewhere.

mod chart;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use chart::{Chart, Series};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What the page is about.
    pub title: String,
    /// Sections, below each other.
    pub sections: Vec<Section>,
}

/// A heading and what is below it, in one column or in two.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// Columns, beside each other.
    pub columns: Vec<Vec<Block>>,
}

/// A piece of a column.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Text as it is typed.
    Code(String),
    /// Names and values; or a table with the first row as its head.
    Table(Vec<Vec<String>>),
    /// Curves.
    Chart(Chart),
    /// Named numbers of at least 0 as bars, with their unit.
    Bars(Vec<(String, f64)>, String),
    /// A PNG file and what it shows.
    Picture(Vec<u8>, String),
}

impl Page {
    /// The page as a file.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let sections: String = self.sections.iter().map(Section::html).collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{sections}\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }
}

impl Section {
    fn html(&self) -> String {
        let columns = self.columns.iter().map(|blocks| {
            let blocks: String = blocks.iter().map(Block::html).collect();
            format!("<div class=\"column\">\n{blocks}</div>\n")
        });
        format!(
            "<section>\n<h2>{}</h2>\n<div class=\"columns\">\n{}</div>\n</section>\n",
            escaped(&self.heading),
            columns.collect::<String>()
        )
    }
}

impl Block {
    fn html(&self) -> String {
        match self {
            Self::Text(text) => format!("<p>{}</p>\n", escaped(text)),
            Self::Code(text) => format!("<pre>{}</pre>\n", escaped(text)),
            Self::Table(rows) => {
                let rows = rows.iter().map(|cells| {
                    let cells = cells
                        .iter()
                        .map(|cell| format!("<td>{}</td>", escaped(cell)));
                    format!("<tr>{}</tr>\n", cells.collect::<String>())
                });
                format!("<table>\n{}</table>\n", rows.collect::<String>())
            }
            Self::Chart(chart) => chart.html(),
            Self::Bars(bars, unit) => bars_html(bars, unit),
            Self::Picture(png, shows) => format!(
                "<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>\n",
                escaped(shows),
                STANDARD.encode(png)
            ),
        }
    }
}

fn bars_html(bars: &[(String, f64)], unit: &str) -> String {
    let largest = bars
        .iter()
        .map(|(_, value)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let bars = bars.iter().map(|(name, value)| {
        format!(
            "<tr><td>{}</td><td class=\"number\">{value:.3} {}</td><td class=\"bar\"><div style=\"width:{:.1}%\"></div></td></tr>\n",
            escaped(name),
            escaped(unit),
            100.0 * value.max(0.0) / largest
        )
    });
    format!(
        "<table class=\"bars\">\n{}</table>\n",
        bars.collect::<String>()
    )
}

/// `text` as HTML shows it.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
