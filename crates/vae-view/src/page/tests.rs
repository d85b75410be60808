//! Pages of HTML.

use super::*;

#[test]
fn a_page_is_whole_loads_nothing_and_shows_text_as_text() {
    let chart = Chart {
        across: "epoch".into(),
        up: "loss".into(),
        series: vec![Series {
            name: "a \"b\" <c>".into(),
            points: vec![[1.0, 200.0], [2.0, 150.0], [3.0, f64::NAN]],
        }],
    };
    let page = Page {
        title: "<runs>".into(),
        sections: vec![Section {
            heading: "one & two".into(),
            columns: vec![
                vec![
                    Block::Chart(chart),
                    Block::Bars(vec![("1".into(), 2.5)], "nats".into()),
                ],
                vec![
                    Block::Picture(b"\x89PNG".to_vec(), "a picture".into()),
                    Block::Table(vec![vec!["x < y".into(), "1".into()]]),
                ],
            ],
        }],
    };
    let html = page.html();
    for part in [
        "<title>&lt;runs&gt;</title>",
        "one &amp; two",
        "data:image/png;base64,iVBORw==",
        "x &lt; y",
        "a \\&quot;b\\&quot; &lt;c&gt;",
        "<polyline",
        "width:100.0%",
    ] {
        assert!(html.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "src=\"/", "href", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let opened = html.matches("<div").count();
    assert_eq!(opened, html.matches("</div>").count());
}
