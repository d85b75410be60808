//! The page as a file: it opens from the disk and decodes as the program does, by WebGPU and by plain JavaScript.

use std::fs;
use std::path::Path;

use vae_infer::read_latents;

use crate::browser::{Gpu, Page, chromium};
use crate::common::distance;
use crate::common::playground::{done, playground, shell};
use crate::common::program::{folder, vae_gpu};
use crate::export::{CLASS, IMAGES, LATENT, MODELS, make, write_data};

/// Values of an image of [`MODELS`].
const PIXELS: usize = 120;
/// Those of [`MODELS`] that are also decoded by WebGPU: their decoders have every pass but that of colours.
const BY_WEBGPU: [&str; 3] = ["conditional", "residual", "counts"];
/// Latents that are: a software adapter takes a quarter of a second for each.
const ROWS: usize = 2;

fn address(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// The numbers of an NPY file of so many.
fn npy(file: &Path, count: usize) -> Vec<f32> {
    let bytes = fs::read(file).expect("written");
    let values = bytes[bytes.len() - 4 * count..].as_chunks().0.iter();
    values.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// What the page decodes of latents with a class, or -1 for none.
fn decoded(page: &mut Page, z: &[f32], label: &str) -> Vec<f32> {
    let values = page.value(&format!(
        "explorer.source.decode(Float32Array.from({z:?}), {label}).then((values) => Array.from(values))"
    ));
    let values = values.as_array().expect("numbers").iter();
    let number = |value: &serde_json::Value| value.as_f64().expect("a number") as f32;
    values.map(number).collect()
}

#[test]
fn a_frozen_page_decodes_every_architecture_as_the_program_does() {
    let Some(browser) = chromium() else { return };
    let place = folder();
    write_data(place.path());
    let z = npy(&place.path().join("z.npy"), IMAGES * LATENT);
    let files = MODELS.map(|(name, options)| {
        let data = make(place.path(), name, options);
        let run = place.path().join(name);
        let file = run.join("page.html");
        let mut export = vae_gpu(&["explore", "--backend", "cpu", "--data"]);
        export.arg(place.path().join(data).with_extension("npz"));
        export.arg(&run).arg("--export").arg(&file);
        export.assert().success();
        file
    });
    for (kind, gpu) in [("JavaScript", Gpu::None), ("WebGPU", Gpu::Software)] {
        let mut page: Option<Page> = None;
        for ((name, options), file) in MODELS.iter().zip(&files) {
            if kind == "WebGPU" && !BY_WEBGPU.contains(name) {
                continue;
            }
            let address = address(file) + if kind == "WebGPU" { "#webgpu" } else { "" };
            let page = match &mut page {
                Some(page) => {
                    page.go_to(&address);
                    page
                }
                None => page.insert(Page::open(&browser, &address, gpu)),
            };
            page.value("explorer.source.ready");
            let kinds = page.value("explorer.source.kinds().join()");
            assert!(
                kinds.as_str().is_some_and(|kinds| kinds.contains(kind)),
                "{name}: {kinds}"
            );
            page.value(&format!("explorer.source.use('{kind}')"));
            // The last ones are the furthest out.
            let first = if kind == "WebGPU" { IMAGES - ROWS } else { 0 };
            let expected = npy(&file.with_file_name("decoded.npy"), IMAGES * PIXELS);
            let (expected, z) = (&expected[first * PIXELS..], &z[first * LATENT..]);
            let label = if options.contains(&"--conditional") {
                CLASS
            } else {
                "-1"
            };
            // A byte of a picture, or the same share of what is larger.
            let tolerance = |index: usize| expected[index].abs().max(1.0) / 255.0;
            let found = decoded(page, z, label);
            let off = distance(&found, expected, tolerance);
            eprintln!("{name}, {kind}: {off} of the tolerance");
            assert!(off < 1.0, "{name}, {kind}: {off}");
            // Other latents are other images.
            let other: Vec<f32> = z.iter().map(|z| z + 0.5).collect();
            let found = decoded(page, &other, label);
            assert!(distance(&found, expected, tolerance) > 1.0, "{name}");
            assert_eq!(page.value("explorer.source.where()"), kind, "{name}");
            page.assert_quiet();
        }
    }
}

#[test]
fn a_frozen_page_without_webgpu_draws_what_the_program_draws() {
    let Some(browser) = chromium() else { return };
    let place = playground();
    for command in [
        "vae-gpu explore runs/digits-1 --backend cpu --count 100 --export page.html",
        "vae-gpu decode runs/digits-1 latents.csv --backend cpu --out decoded.npy",
        "vae-gpu explore runs/table-1 --export table.html",
        "vae-gpu train --data photos --size 16x16 --fit crop --channels 4 --latent 2 --epochs 1 --backend cpu --out runs/colour",
        "vae-gpu explore runs/colour --backend cpu --export colour.html",
        "vae-gpu decode runs/colour latents.csv --backend cpu --out colour.npy",
    ] {
        done(command, &shell(command, place.path()));
    }
    let at = |name: &str| place.path().join(name);
    let mut page = Page::open(&browser, &address(&at("page.html")), Gpu::None);
    assert_eq!(page.value("explorer.source.where()"), "JavaScript");
    assert_eq!(
        page.value("document.getElementById('device').textContent"),
        "Decoded by JavaScript."
    );
    let loaded = "performance.getEntriesByType('resource').filter(({ name }) => !name.startsWith('data:')).length";
    assert_eq!(page.value(loaded), 0, "it needs nothing but itself");
    // The page has the samples 0, 10, 20, ..; picking one decodes its mean.
    let expected = npy(&at("decoded.npy"), 1000 * 784);
    let count = page.value("explorer.decodes").as_u64().expect("a number");
    page.value("explorer.pick(7)");
    page.wait_for(&format!(
        "explorer.decodes > {count} && !explorer.isDecoding"
    ));
    let drawn = page.value(
        "(() => { const canvas = document.querySelector('#decoded canvas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return Array.from(data).filter((_, i) => i % 4 === 0); })()",
    );
    let drawn = drawn.as_array().expect("bytes").iter();
    let drawn: Vec<f32> = drawn
        .map(|x| x.as_f64().expect("a byte") as f32 / 255.0)
        .collect();
    let off = distance(&drawn, &expected[70 * 784..71 * 784], |_| 1.0 / 255.0);
    assert!(off < 1.0, "{off}");
    // Its thumbnail is the sample itself, through the file's picture.
    let thumbnail = page.value("explorer.source.images([7]).then(([bytes]) => Array.from(bytes))");
    assert_eq!(thumbnail.as_array().expect("bytes").len(), 784);
    assert_eq!(
        page.value("document.getElementById('upload-part').hidden"),
        true
    );
    page.assert_quiet();

    page.go_to(&address(&at("table.html")));
    page.value("explorer.pick(3)");
    page.wait_for("document.querySelectorAll('#picked tr').length === 4");
    let shown = page.value("document.getElementById('picked').innerText");
    assert!(
        shown.as_str().is_some_and(|text| text.contains("length")),
        "{shown}"
    );
    page.assert_quiet();

    // Images of several channels lie in another order inside the program.
    page.go_to(&address(&at("colour.html")));
    assert_eq!(
        page.value("document.querySelector('#decoded canvas').width"),
        16
    );
    let latents = read_latents(&at("latents.csv"), 2).expect("latents");
    let expected = npy(&at("colour.npy"), 1000 * 768);
    let found = decoded(&mut page, &latents[..20], "-1");
    let off = distance(&found, &expected[..10 * 768], |_| 1.0 / 255.0);
    assert!(off < 1.0, "{off}");
    page.assert_quiet();
}
