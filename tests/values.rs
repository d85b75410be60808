//! What the values of data mean: which integers are black and white, which are bytes, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use vae_data::npy::{self, NpyValues};

use crate::common::program::{folder, vae_gpu};

const IMAGES: usize = 200;
const PIXELS: usize = 36;

/// Images of 6 x 6, the left or the right half of which is `white`.
fn halves(white: i64) -> Vec<i64> {
    let pixel = |image: usize, pixel: usize| (pixel % 6 < 3) == image.is_multiple_of(3);
    let all = (0..IMAGES).flat_map(|image| (0..PIXELS).map(move |at| pixel(image, at)));
    all.map(|is_white| if is_white { white } else { 0 })
        .collect()
}

fn written(folder: &Path, name: &str, descr: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let header = npy::header_bytes(descr, &[IMAGES, 6, 6]);
    fs::write(&path, [&header, bytes].concat()).expect("writable");
    path
}

fn as_u8(folder: &Path, name: &str, descr: &str, white: i64) -> PathBuf {
    let bytes: Vec<u8> = halves(white).into_iter().map(|x| x as u8).collect();
    written(folder, name, descr, &bytes)
}

fn as_i64(folder: &Path, name: &str, white: i64) -> PathBuf {
    let bytes = halves(white).into_iter().flat_map(i64::to_le_bytes);
    written(folder, name, "<i8", &bytes.collect::<Vec<u8>>())
}

/// Trains on `data` for `epochs`; what it said, and whether it succeeded.
fn train(run: &Path, data: &Path, options: &[&str]) -> (String, bool) {
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "16"]);
    command.args([
        "--batch-size",
        "20",
        "--epochs",
        "40",
        "--optimizer",
        "adam",
    ]);
    command.args(["--lr", "0.02", "--data"]).arg(data);
    let output = command.args(options).arg("--out").arg(run).output();
    let output = output.expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.success())
}

/// The reconstructions of `data`, which is what `run` was trained on.
fn reconstructed(run: &Path, data: &Path) -> Vec<f32> {
    let out = run.with_extension("npy");
    vae_gpu(&["reconstruct", "--backend", "cpu", "--force", "--data"])
        .arg(data)
        .arg("--out")
        .arg(&out)
        .arg(run)
        .assert()
        .success();
    let array = npy::read(fs::File::open(&out).expect("written"), "out").expect("an array");
    match array.values {
        NpyValues::F32(values) => values,
        other => panic!("{other:?}"),
    }
}

/// Mean distance of reconstructions from `halves(white)`, over `white`.
fn distance(run: &Path, data: &Path, white: i64) -> f64 {
    let found = reconstructed(run, data);
    let expected = halves(white);
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(&expected);
    let sum: f64 = pairs.map(|(&a, &b)| (f64::from(a) - b as f64).abs()).sum();
    sum / (found.len() as f64 * white as f64)
}

#[test]
fn integers_of_0_and_1_are_black_and_white() {
    let parent = folder();
    for (name, descr) in [("bool.npy", "|b1"), ("u8.npy", "|u1")] {
        let data = as_u8(parent.path(), name, descr, 1);
        let run = parent.path().join(name.replace('.', "-"));
        let (said, is_trained) = train(&run, &data, &[]);
        assert!(is_trained, "{said}");
        assert!(
            said.contains("scale: none, integers stay as they are"),
            "{said}"
        );
        // A model of values of 0 and 1/255 would say 0 everywhere: a distance of 0.5.
        let off = distance(&run, &data, 1);
        assert!(off < 0.1, "{name}: {off}");
    }
    let data = as_i64(parent.path(), "i64.npy", 1);
    let run = parent.path().join("i64");
    let (said, is_trained) = train(&run, &data, &[]);
    assert!(is_trained, "{said}");
    assert!(distance(&run, &data, 1) < 0.1);
}

#[test]
fn integers_up_to_255_are_bytes_whatever_their_type() {
    let parent = folder();
    let bytes = as_u8(parent.path(), "u8.npy", "|u1", 255);
    let wide = as_i64(parent.path(), "i64.npy", 255);
    let runs = [(bytes, "u8"), (wide, "i64")].map(|(data, name)| {
        let run = parent.path().join(name);
        let (said, is_trained) = train(&run, &data, &[]);
        assert!(is_trained, "{said}");
        assert!(said.contains("scale: bytes, 0..255 to 0..1"), "{said}");
        reconstructed(&run, &data)
    });
    // Bytes come back as 0 to 1, wider integers in their own units.
    let pairs = runs[0].iter().zip(&runs[1]);
    let worst = pairs
        .map(|(a, b)| (255.0 * a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 0.1, "{worst}");
}

#[test]
fn integers_of_another_range_are_refused_with_the_ways_out() {
    let parent = folder();
    let sixteen = as_u8(parent.path(), "sixteen.npy", "|u1", 16);
    let wide = as_i64(parent.path(), "wide.npy", 4095);
    for (data, range) in [(&sixteen, "0 to 16"), (&wide, "0 to 4095")] {
        let (said, is_trained) = train(&parent.path().join("refused"), data, &[]);
        assert!(!is_trained, "{said}");
        for part in [range, "--scale min-max", "--scale bytes"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let run = parent.path().join("min-max");
    let (said, is_trained) = train(&run, &sixteen, &["--scale", "min-max"]);
    assert!(is_trained, "{said}");
    assert!(distance(&run, &sixteen, 16) < 0.1);
    // What is asked for is done.
    let (said, is_trained) = train(
        &parent.path().join("bytes"),
        &sixteen,
        &["--scale", "bytes"],
    );
    assert!(is_trained && said.contains("0..255 to 0..1"), "{said}");
    // A Gaussian has no range that values have to be in.
    let gaussian = ["--likelihood", "gaussian"];
    let (said, is_trained) = train(&parent.path().join("gaussian"), &wide, &gaussian);
    assert!(is_trained, "{said}");
}

/// Images of `bits` bits, which are `dark` in one half and `bright` in the other.
fn image_files(folder: &Path, dark: u16, bright: u16, is_deep: bool) {
    fs::create_dir(folder).expect("a folder");
    for (at, image) in halves(1).chunks(PIXELS).enumerate() {
        let path = folder.join(format!("{at:03}.png"));
        let deep = image.iter().map(|&x| if x == 0 { dark } else { bright });
        let saved = if is_deep {
            let pixels = deep.collect();
            let image = image::ImageBuffer::<image::Luma<u16>, _>::from_vec(6, 6, pixels);
            image.expect("6 x 6").save(path)
        } else {
            let pixels = deep.map(|x| x as u8).collect();
            image::GrayImage::from_vec(6, 6, pixels)
                .expect("6 x 6")
                .save(path)
        };
        saved.expect("writable");
    }
}

#[test]
fn images_of_twelve_bits_in_sixteen_are_scaled_by_their_range() {
    let parent = folder();
    let data = parent.path().join("camera");
    image_files(&data, 250, 4095, true);
    let run = parent.path().join("run");
    let (said, is_trained) = train(&run, &data, &[]);
    assert!(is_trained, "{said}");
    assert!(
        said.contains("scale: range, 250 to 4095 of the training samples to 0..1"),
        "{said}"
    );
    let config = fs::read_to_string(run.join("config.toml")).expect("written");
    assert!(
        config.contains("scale = \"range\"") && config.contains("bits = \"16\""),
        "{config}"
    );
    // Given back in units of the data; their upper bytes are 0 and 15.
    let found = reconstructed(&run, &data);
    let expected = halves(1)
        .into_iter()
        .map(|x| if x == 0 { 250.0 } else { 4095.0 });
    let off: f32 = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum();
    let off = off / found.len() as f32;
    assert!(off < 0.1 * 3845.0, "{off}");

    // Brighter ones are clipped to the range of the training samples, and images of 8 bits are no such images.
    let score = |data: &Path| {
        let out = data.with_extension("scores.csv");
        let mut command = vae_gpu(&["score", "--backend", "cpu", "--data"]);
        command.arg(data).arg(&run).arg("--out").arg(out);
        let output = command.output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (said, output.status.success())
    };
    let brighter = parent.path().join("brighter");
    image_files(&brighter, 250, 5000, true);
    let (said, is_scored) = score(&brighter);
    assert!(is_scored && said.contains("clipped: 200 of 200"), "{said}");
    let shallow = parent.path().join("shallow");
    image_files(&shallow, 0, 255, false);
    let (said, is_scored) = score(&shallow);
    assert!(!is_scored && said.contains("expected 16"), "{said}");

    // A model of bytes takes the upper ones of 16 bits.
    let bytes = parent.path().join("bytes");
    let (said, is_trained) = train(&bytes, &shallow, &[]);
    assert!(is_trained, "{said}");
    let full = parent.path().join("full");
    image_files(&full, 0, 65535, true);
    let off = distance(&bytes, &full, 1);
    assert!(off < 0.1, "{off}");
    // So does one of an older version, which says nothing of bits.
    let config = bytes.join("config.toml");
    let text = fs::read_to_string(&config).expect("written");
    let older = text.replace("bits = \"8\"\n", "");
    assert_ne!(older, text);
    fs::write(&config, older).expect("writable");
    assert_eq!(distance(&bytes, &full, 1), off);
}

#[test]
fn a_run_of_an_older_version_goes_on_with_the_scaling_that_it_had() {
    let parent = folder();
    let data = as_u8(parent.path(), "u8.npy", "|u1", 1);
    let at = |name: &str| parent.path().join(name);
    let settings = ["--scale", "bytes"];
    let (said, is_trained) = train(&at("old"), &data, &settings);
    assert!(is_trained, "{said}");
    // As it was written when the scaling was decided by the type alone.
    let config = at("old").join("config.toml");
    let text = fs::read_to_string(&config).expect("written");
    assert!(text.contains("scale = \"bytes\""));
    fs::write(
        &config,
        text.replace("scale = \"bytes\"", "scale = \"auto\""),
    )
    .expect("writable");
    let state = at("old").join("state.safetensors");
    let (now, before) = (br#"\"scale\":\"bytes\""#, br#"\"scale\":\"auto\" "#);
    let mut bytes = fs::read(&state).expect("written");
    let place = bytes.windows(now.len()).position(|part| part == now);
    let place = place.expect("the recipe");
    bytes[place..place + now.len()].copy_from_slice(before);
    fs::write(&state, bytes).expect("writable");
    let resumed = vae_gpu(&["train", "--backend", "cpu", "--epochs", "1", "--resume"])
        .arg(at("old"))
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.success(), "{said}");
    assert!(said.contains("scale: bytes, 0..255 to 0..1"), "{said}");
}
