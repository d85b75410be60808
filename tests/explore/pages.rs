//! What a user does with the page that is served.

use std::fs;

use image::GrayImage;

use super::Explore;
use crate::browser::{Gpu, Page, chromium};
use crate::common::playground::{done, playground, shell};

/// The pixels of the decoded image, as text.
const DECODED: &str = "document.querySelector('#decoded canvas').toDataURL()";

/// Waits until nothing is being decoded any more, and something was.
fn settle(page: &mut Page, decodes: u64) {
    page.wait_for(&format!(
        "explorer.decodes > {decodes} && !explorer.isDecoding"
    ));
}

fn decodes(page: &mut Page) -> u64 {
    page.value("explorer.decodes").as_u64().expect("a number")
}

#[test]
fn a_drag_decodes_and_a_box_selects_the_samples_in_it_whose_ids_are_saved() {
    let Some(browser) = chromium() else { return };
    let place = playground();
    let explore = Explore::start(place.path(), &["runs/digits-1"]);
    let mut page = Page::open(&browser, &explore.address, Gpu::None);
    let said = page.value("document.getElementById('about').textContent");
    assert_eq!(said, "784-8-2; elbo, bernoulli; 1000 samples of digits.");

    let before = page.value(DECODED);
    let z = page.value("Array.from(explorer.z)");
    let count = decodes(&mut page);
    page.drag(&[[200.0, 200.0], [230.0, 220.0], [260.0, 260.0]]);
    settle(&mut page, count);
    assert_ne!(page.value(DECODED), before);
    assert_ne!(page.value("Array.from(explorer.z)"), z);
    let moved =
        page.value("explorer.scatter.toPixels(explorer.plane.project(explorer.z)).map(Math.round)");
    assert_eq!(moved, serde_json::json!([260, 260]));

    // A key moves it on, another picks the sample nearest to it.
    let count = decodes(&mut page);
    page.press("ArrowRight");
    settle(&mut page, count);
    let moved =
        page.value("explorer.scatter.toPixels(explorer.plane.project(explorer.z)).map(Math.round)");
    assert_eq!(moved, serde_json::json!([268, 260]));
    page.press("Enter");
    page.wait_for("document.querySelectorAll('#picked canvas').length === 2");

    page.value("document.querySelector('input[value=pan]').click()");
    let before = page.value("explorer.scatter.toPlane([0, 0]).map((x) => x.toFixed(6))");
    page.drag(&[[100.0, 100.0], [160.0, 130.0]]);
    assert_eq!(
        page.value("explorer.scatter.toPlane([60, 30]).map((x) => x.toFixed(6))"),
        before
    );
    page.press("0");
    assert_eq!(
        page.value("explorer.scatter.toPlane([0, 0]).map((x) => x.toFixed(6))"),
        before
    );

    page.value("document.querySelector('input[value=select]').click()");
    page.drag(&[[150.0, 150.0], [300.0, 300.0], [420.0, 380.0]]);
    page.wait_for("document.querySelectorAll('#selected canvas').length > 0");
    page.value("document.getElementById('save').click()");
    let saved = page.downloaded("selected.csv");
    // The same from the posterior means that the program writes: a line is `id,label,mu_1,mu_2,..`.
    let corners =
        page.value("[explorer.scatter.toPlane([150, 150]), explorer.scatter.toPlane([420, 380])]");
    let corner = |which: usize, axis: usize| corners[which][axis].as_f64().expect("a number");
    let axes = page.value("[Number(document.getElementById('across').value), Number(document.getElementById('up').value)]");
    assert_eq!(axes, serde_json::json!([0, 1]));
    let all = fs::read_to_string(place.path().join("latents.csv")).expect("written");
    let inside = all.lines().skip(1).filter_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let [x, y] = [2, 3].map(|cell| cells[cell].parse::<f64>().expect("a number"));
        let is_inside =
            (corner(0, 0)..corner(1, 0)).contains(&x) && (corner(1, 1)..corner(0, 1)).contains(&y);
        is_inside.then(|| format!("{},{}", cells[0], cells[1]))
    });
    let expected: Vec<String> = inside.collect();
    let found = saved.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{}", cells[0], cells[1])
    });
    assert!((10..990).contains(&expected.len()), "{}", expected.len());
    let found: Vec<String> = found.collect();
    assert!(found == expected, "{} of {}", found.len(), expected.len());
    assert!(saved.starts_with("id,label,recon,kl\n"), "{saved}");
    page.press("Escape");
    assert_eq!(page.value("explorer.selection.places.length"), 0);
    page.assert_quiet();
}

#[test]
fn samples_are_coloured_picked_walked_between_and_uploaded() {
    let Some(browser) = chromium() else { return };
    let place = playground();
    let command = "vae-gpu train --epochs 1 --hidden 8 --latent 3 --conditional --backend cpu --out runs/conditional";
    done(command, &shell(command, place.path()));
    let explore = Explore::start(place.path(), &["runs/conditional"]);
    let mut page = Page::open(&browser, &explore.address, Gpu::None);

    for (kind, legend) in [
        ("label", "0123456789"),
        ("kl", "nats"),
        ("recon", "nats"),
        ("score", "nats"),
    ] {
        page.value(&format!(
            "(() => {{ const colour = document.getElementById('colour'); colour.value = '{kind}'; colour.dispatchEvent(new Event('change')); }})()"
        ));
        let shown = page.value("document.getElementById('legend').textContent");
        assert!(
            shown.as_str().is_some_and(|text| text.contains(legend)),
            "{kind}: {shown}"
        );
        let colours = page.value("new Set(explorer.scatter.colours).size");
        assert!(
            colours.as_u64().is_some_and(|count| count > 5),
            "{kind}: {colours}"
        );
    }
    page.value("(() => { const across = document.getElementById('across'); across.value = 'pca'; across.dispatchEvent(new Event('change')); })()");
    let names = page.value("explorer.plane.names[0]");
    assert_eq!(names, "principal component 1");
    // The components are unit vectors at right angles, and the first has the larger variance.
    let lengths = page.value(
        "(() => { const { right, up } = explorer.plane; const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
            const variance = (xs) => xs.reduce((sum, x) => sum + x * x, 0);
            return [dot(right, right), dot(up, up), dot(right, up), variance(explorer.scatter.xs) >= variance(explorer.scatter.ys)]; })()",
    );
    let lengths: Vec<f64> = (0..3).filter_map(|i| lengths[i].as_f64()).collect();
    for (found, expected) in lengths.iter().zip([1.0, 1.0, 0.0]) {
        assert!((found - expected).abs() < 1e-4, "{lengths:?}");
    }

    page.value("explorer.pick(4)");
    page.wait_for("document.querySelectorAll('#picked canvas').length === 2");
    let label =
        page.value("[document.getElementById('label').value, String(explorer.points.classes[4])]");
    assert_eq!(label[0], label[1]);
    assert_eq!(
        page.value("document.querySelectorAll('.band.spread:not([hidden])').length"),
        3
    );
    let count = decodes(&mut page);
    let before = page.value(DECODED);
    page.value("(() => { const label = document.getElementById('label'); label.value = (Number(label.value) + 3) % 10; label.dispatchEvent(new Event('change')); })()");
    settle(&mut page, count);
    assert_ne!(
        page.value(DECODED),
        before,
        "another label is another image"
    );
    let count = decodes(&mut page);
    page.value("(() => { const slider = document.querySelector('#sliders input'); slider.value = 2; slider.dispatchEvent(new Event('input')); })()");
    settle(&mut page, count);
    assert_eq!(page.value("explorer.z.includes(2)"), true);

    page.value("document.getElementById('walk-from').click()");
    page.value("explorer.pick(9)");
    page.value("document.getElementById('walk-to').click()");
    page.wait_for("document.querySelectorAll('#strip canvas').length === 11");
    let ends = page.value("(() => { const all = Array.from(document.querySelectorAll('#strip canvas')).map((each) => each.toDataURL()); return new Set(all).size; })()");
    assert!(ends.as_u64().is_some_and(|count| count > 1), "{ends}");

    let image = place.path().join("mine.png");
    GrayImage::from_fn(40, 40, |x, _| {
        image::Luma([if x > 15 && x < 25 { 255 } else { 0 }])
    })
    .save(&image)
    .expect("writable");
    page.choose_file("file", &image);
    page.wait_for("document.querySelectorAll('#uploaded canvas').length === 2");
    let said = page.value("document.getElementById('upload-said').textContent");
    assert!(
        said.as_str()
            .is_some_and(|text| text.starts_with("mine.png, fitted to 28 × 28: recon ")),
        "{said}"
    );
    page.choose_file("file", &place.path().join("table.csv"));
    page.wait_for("document.getElementById('upload-said').textContent.includes('is not an image')");
    assert_eq!(
        page.value("document.querySelectorAll('#uploaded canvas').length"),
        0
    );
    page.assert_quiet();

    drop(explore);
    page.press("ArrowRight");
    page.wait_for("!document.getElementById('trouble').hidden");
    let said = page.value("document.getElementById('trouble').textContent");
    assert!(
        said.as_str()
            .is_some_and(|text| text.contains("does not answer")),
        "{said}"
    );
}
