//! Folders of images: what is an image, what is a part, and what is said of the rest.

use std::fs::{self, File};
use std::path::Path;

use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, GrayImage, Luma, RgbaImage};

use crate::common::program::{folder, info, sum, vae_gpu};

/// An image with an edge, so that its lower half differs from grey.
fn picture(shade: u8) -> GrayImage {
    GrayImage::from_fn(32, 32, |x, y| {
        Luma([shade ^ (x * 7 + y * 5) as u8 ^ (x * y) as u8])
    })
}

/// Saves `count` pictures as PNG files.
fn pictures(folder: &Path, count: u8) {
    fs::create_dir_all(folder).expect("writable");
    for index in 0..count {
        let path = folder.join(format!("{index}.png"));
        picture(index * 9).save(path).expect("writable");
    }
}

#[test]
fn what_is_an_image_by_its_bytes_is_read_whatever_its_ending() {
    let parent = folder();
    let root = parent.path();
    let formats = [
        "png", "gif", "pgm", "bmp", "webp", "tiff", "jpg", "ppm", "pbm", "pnm",
    ];
    for format in formats {
        let path = root.join(format!("picture.{format}"));
        let grey = picture(3);
        let saved = match format {
            "webp" | "ppm" | "gif" => image::DynamicImage::from(grey).to_rgb8().save(path),
            _ => grey.save(path),
        };
        saved.unwrap_or_else(|error| panic!("{format}: {error}"));
    }
    fs::rename(root.join("picture.bmp"), root.join("nameless")).expect("renamed");
    fs::rename(root.join("picture.tiff"), root.join("picture.dat")).expect("renamed");
    for (name, content) in [
        ("readme.txt", "Not an image."),
        ("list.TXT", "Neither."),
        ("labels.mat", "MATLAB"),
        ("Thumbs.db", "silent"),
        (".DS_Store", "silent"),
        ("._picture.png", "silent"),
    ] {
        fs::write(root.join(name), content).expect("writable");
    }
    let (said, is_read) = info(root, &["--grey"]);
    assert!(is_read, "{said}");
    assert!(said.contains("samples: 10 of 32 x 32"), "{said}");
    let left_out = "3 files left out, which are not images: 1 .mat, 2 .txt";
    assert!(said.contains(left_out), "{said}");

    let only_others = root.join("others");
    fs::create_dir(&only_others).expect("writable");
    fs::write(only_others.join("a.mat"), "x").expect("writable");
    let (said, is_read) = info(&only_others, &[]);
    assert!(
        !is_read && said.contains("found none, but other files: 1 .mat"),
        "{said}"
    );
}

#[test]
fn of_an_animation_the_first_frame_is_taken_and_said() {
    let parent = folder();
    pictures(parent.path(), 3);
    let still = info(parent.path(), &["--grey"]).0;
    assert!(!still.contains("frames"), "{still}");
    let file = File::create(parent.path().join("moving.gif")).expect("writable");
    let frames = [40, 200].map(|shade| {
        let frame = RgbaImage::from_pixel(32, 32, image::Rgba([shade, shade, shade, 255]));
        Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(100, 1))
    });
    GifEncoder::new(file)
        .encode_frames(frames)
        .expect("writable");
    let (said, is_read) = info(parent.path(), &["--grey"]);
    assert!(is_read && said.contains("samples: 4 of 32 x 32"), "{said}");
    let animated = "1 of several frames or pages, the first moving.gif: the first frame or page of each is taken";
    assert!(said.contains(animated), "{said}");

    let array = parent.path().join("all.npy");
    vae_gpu(&["data", "convert"])
        .arg(parent.path())
        .arg("--grey")
        .arg("--out")
        .arg(&array)
        .assert()
        .success();
    let bytes = fs::read(array).expect("written");
    // Files are in the order of their names.
    assert!(
        bytes[bytes.len() - 1024..].iter().all(|&byte| byte == 40),
        "the first frame"
    );
}

#[test]
fn a_truncated_image_of_any_format_is_named_or_skipped() {
    for format in ["jpg", "png", "gif", "webp", "tiff", "bmp", "pgm"] {
        let parent = folder();
        pictures(parent.path(), 2);
        let cut = parent.path().join("cut").with_extension(format);
        let image = image::DynamicImage::from(picture(77));
        let saved = match format {
            "webp" | "gif" => image.to_rgb8().save(&cut),
            _ => image.save(&cut),
        };
        saved.expect("writable");
        let whole = fs::read(&cut).expect("written");
        let (said, is_read) = info(parent.path(), &["--grey"]);
        assert!(
            is_read && said.contains("samples: 3 of"),
            "{format}: {said}"
        );
        for length in [whole.len() / 2, whole.len() - 40] {
            fs::write(&cut, &whole[..length]).expect("writable");
            let (said, is_read) = info(parent.path(), &["--grey"]);
            assert!(!is_read, "{format} of {length} bytes: {said}");
            assert!(
                said.contains(&format!("cut.{format}")) && said.contains("--skip-bad"),
                "{format} of {length} bytes: {said}"
            );
            let (said, is_read) = info(parent.path(), &["--grey", "--skip-bad"]);
            assert!(
                is_read && said.contains("samples: 2 of"),
                "{format}: {said}"
            );
        }
    }
}

#[test]
fn parts_are_known_in_any_case_and_never_mixed_with_classes() {
    for names in [
        ["train", "val", "test"],
        ["Train", "VALID", "Testing"],
        ["TRAINING", "Validation", "TEST"],
    ] {
        let parent = folder();
        for (name, count) in names.iter().zip([8, 3, 2]) {
            pictures(&parent.path().join(name).join("cats"), count);
        }
        let (said, is_read) = info(parent.path(), &[]);
        assert!(is_read, "{names:?}: {said}");
        for expected in [
            "\nsamples: 8 of",
            "\nvalidation samples: 3 of",
            "\ntest samples: 2 of",
        ] {
            assert!(said.contains(expected), "{names:?}: {said}");
        }
        pictures(&parent.path().join("dogs"), 2);
        let (said, is_read) = info(parent.path(), &[]);
        assert!(
            !is_read && said.contains("`dogs`") && said.contains("parts"),
            "{said}"
        );
    }
    let parent = folder();
    for name in ["train", "val", "valid"] {
        pictures(&parent.path().join(name), 2);
    }
    let (said, is_read) = info(parent.path(), &[]);
    assert!(
        !is_read && said.contains("`val` and `valid`"),
        "two of one kind: {said}"
    );
}

/// Trains on `data`, then encodes `part`; what both said, and how many samples were encoded.
fn encoded(data: &Path, part: Option<&str>) -> (String, Option<usize>) {
    let run = data.join("../run");
    let _ = fs::remove_dir_all(&run);
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "4"]);
    command.args(["--epochs", "1", "--batch-size", "4", "--data"]);
    let trained = command.arg(data).arg("--out").arg(&run).output();
    let out = data.join("../latents.csv");
    let _ = fs::remove_file(&out);
    let mut command = vae_gpu(&["encode", "--backend", "cpu", "--data"]);
    command.arg(data).arg(&run).arg("--out").arg(&out);
    if let Some(part) = part {
        command.args(["--part", part]);
    }
    let encoded = command.output().expect("started");
    let said = [trained.expect("started").stderr, encoded.stderr].concat();
    let lines = fs::read_to_string(&out)
        .ok()
        .map(|text| text.lines().count() - 1);
    (String::from_utf8_lossy(&said).into_owned(), lines)
}

#[test]
fn validation_is_on_val_and_test_samples_are_for_their_part_alone() {
    let parent = folder();
    let data = parent.path().join("data");
    for (name, count) in [("train", 8), ("val", 3), ("test", 5)] {
        pictures(&data.join(name), count);
    }
    let (said, count) = encoded(&data, None);
    assert!(said.contains("its validation samples"), "{said}");
    assert_eq!(count, Some(5), "{said}");
    for (part, expected) in [("train", 8), ("validation", 3), ("test", 5)] {
        let (said, count) = encoded(&data, Some(part));
        assert_eq!(count, Some(expected), "{part}: {said}");
    }
    fs::remove_dir_all(data.join("test")).expect("removed");
    let (said, count) = encoded(&data, Some("test"));
    assert_eq!(count, None, "{said}");
    assert!(said.contains("has no test samples of its own"), "{said}");
    assert_eq!(encoded(&data, None).1, Some(3), "validation samples");

    fs::remove_dir_all(data.join("val")).expect("removed");
    let flat = data.join("train");
    let (said, count) = encoded(&flat, Some("validation"));
    assert_eq!(count, None, "{said}");
    assert!(
        said.contains("has no validation samples of its own"),
        "{said}"
    );
}

/// The bytes of a PNG chunk.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind, data].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&named);
    let length = data.len() as u32;
    [&length.to_be_bytes()[..], &named, &crc.sum().to_be_bytes()].concat()
}

/// The bytes of a chunk of a WebP file.
fn riff(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = &[0][..data.len() % 2];
    [kind, &(data.len() as u32).to_le_bytes()[..], data, padding].concat()
}

#[test]
fn the_first_of_several_frames_or_pages_is_taken_and_that_is_said() {
    let parent = folder();
    let image = GrayImage::from_fn(4, 4, |x, y| Luma([(60 * x + 3 * y) as u8]));
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::DynamicImage::from(image.clone()).into_rgb8();
        image.write_to(&mut bytes, format).expect("in memory");
        bytes.into_inner()
    };
    // A second directory, which is a copy of the first.
    let mut tiff = encoded(image::ImageFormat::Tiff);
    let at = u32::from_le_bytes(tiff[4..8].try_into().expect("four bytes"));
    let start = at as usize;
    let entries = usize::from(u16::from_le_bytes([tiff[start], tiff[start + 1]]));
    let end = start + 2 + 12 * entries;
    let single = tiff.clone();
    tiff.extend_from_within(start..end + 4);
    let second = single.len() as u32;
    tiff[end..end + 4].copy_from_slice(&second.to_le_bytes());
    // Two frames, the second of which nobody looks for.
    let mut png = encoded(image::ImageFormat::Png);
    let header = 8 + 25;
    png.splice(header..header, chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]));
    let still = &encoded(image::ImageFormat::WebP)[12..];
    let frame = [&[0; 6][..], &[3, 0, 0, 3, 0, 0, 100, 0, 0, 2], still].concat();
    let animation = [
        riff(b"VP8X", &[2, 0, 0, 0, 3, 0, 0, 3, 0, 0]),
        riff(b"ANIM", &[0; 6]),
        riff(b"ANMF", &frame),
        riff(b"ANMF", &frame),
    ];
    let webp = riff(b"RIFF", &[&b"WEBP"[..], &animation.concat()].concat());
    let expected = {
        let path = parent.path().join("a.tif");
        fs::write(&path, single).expect("writable");
        info(&path, &[]).0
    };
    assert!(!expected.contains("pages"), "{expected}");
    for (name, bytes) in [("b.tif", tiff), ("c.png", png), ("d.webp", webp)] {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("writable");
        let (said, is_read) = info(&path, &[]);
        assert!(is_read, "{name}: {said}");
        assert!(said.contains("1 of several frames or pages"), "{said}");
        assert_eq!(sum(&said), sum(&expected), "{name}");
    }
}

#[test]
fn images_of_sixteen_bits_are_read_as_they_are_or_as_eight() {
    let parent = folder();
    let images = parent.path().join("images");
    fs::create_dir(&images).expect("a folder");
    for index in 0..3u16 {
        let image =
            image::ImageBuffer::from_fn(8, 8, |x, y| image::Luma([(x * y) as u16 * 80 + index]));
        let path = images.join(format!("{index}.png"));
        image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::save(&image, path).expect("writable");
    }
    let (said, is_read) = info(&images, &[]);
    assert!(
        is_read
            && said.contains("image files of 16 bits")
            && said.contains("values from 0 to 3922"),
        "{said}"
    );
    // Written as images they have 16 bits again.
    let copy = parent.path().join("copy");
    let mut command = vae_gpu(&["data", "convert"]);
    command
        .arg(&images)
        .arg("--out")
        .arg(&copy)
        .assert()
        .success();
    assert_eq!(sum(&info(&copy, &[]).0), sum(&said));
    let (said, is_read) = info(&images, &["--bits", "8"]);
    assert!(
        is_read && said.contains("bytes from 0 to 15") && said.contains("3 of 16 bits"),
        "{said}"
    );
}
