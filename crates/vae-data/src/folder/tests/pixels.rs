//! Decoded pixels of generated images: formats, colours, sizes and shapes.

use std::fs;

use image::codecs::png::PngEncoder;
use image::{
    DynamicImage, ExtendedColorType, GrayAlphaImage, GrayImage, ImageBuffer, ImageEncoder, Luma,
    LumaA, Rgb, RgbImage, Rgba, RgbaImage,
};
use tempfile::tempdir;

use super::super::{Bits, DecodedImages, Fit, FolderOptions, decode_to_file, list};
use super::{PLAIN, coloured, decoded, folder, grey, message};
use crate::npy::{self, NpyValues};

fn planar(image: &RgbImage) -> Vec<u8> {
    (0..3)
        .flat_map(|channel| image.pixels().map(move |pixel| pixel[channel]))
        .collect()
}

/// The pixels of the one image in a folder.
fn single(name: &str, image: impl Into<DynamicImage>, options: FolderOptions) -> DecodedImages {
    decoded(&folder([(name, image.into())]), options).expect(name)
}

#[test]
fn lossless_formats_give_every_pixel_back() {
    for name in ["a.png", "a.bmp", "a.tif", "a.TIFF", "a.webp"] {
        let image = coloured(7, 5);
        let images = single(name, image.clone(), PLAIN);
        assert_eq!(
            (images.channels, images.height, images.width),
            (3, 5, 7),
            "{name}"
        );
        assert_eq!(images.pixels, planar(&image), "{name}");
        assert_eq!((images.kept, images.skipped), (vec![0], vec![]), "{name}");
    }
    for name in ["a.png", "a.tif"] {
        let images = single(name, grey(7, 5), PLAIN);
        assert_eq!((images.channels, images.height, images.width), (1, 5, 7));
        assert_eq!(images.pixels, *grey(7, 5), "{name}");
    }
    // These formats store grayscale as colour.
    for name in ["a.bmp", "a.webp"] {
        assert_eq!(single(name, grey(7, 5), PLAIN).channels, 3);
        let options = FolderOptions {
            grey: true,
            ..PLAIN
        };
        assert_eq!(single(name, grey(7, 5), options).pixels, *grey(7, 5));
    }
}

#[test]
fn jpeg_comes_near() {
    let near = |left: &[u8], right: &[u8]| {
        assert_eq!(left.len(), right.len());
        let differences = left.iter().zip(right).map(|(l, r)| l.abs_diff(*r));
        // The encoder's default quality is 75.
        assert!(differences.max() < Some(24));
    };
    let images = single("a.jpeg", coloured(16, 16), PLAIN);
    near(&images.pixels, &planar(&coloured(16, 16)));
    let images = single("a.JPG", grey(16, 8), PLAIN);
    near(&images.pixels, &grey(16, 8));
}

#[test]
fn the_content_tells_the_format_and_not_the_extension() {
    let folder = folder([("a.png", coloured(4, 3).into())]);
    fs::rename(folder.path().join("a.png"), folder.path().join("a.jpg")).expect("renamed");
    let images = decoded(&folder, PLAIN).expect("a PNG");
    assert_eq!(images.pixels, planar(&coloured(4, 3)));
}

#[test]
fn sixteen_bits_become_the_nearest_eight_if_asked_to() {
    let eight = FolderOptions {
        bits: Some(Bits::Eight),
        ..PLAIN
    };
    for name in ["a.png", "a.tif"] {
        let image = ImageBuffer::from_fn(3, 1, |x, _| Luma([[0, 0x80ff, 0xffff][x as usize]]));
        let images = single(name, DynamicImage::ImageLuma16(image), eight);
        assert_eq!((images.channels, images.pixels), (1, vec![0, 0x80, 0xff]));
        let image = ImageBuffer::from_pixel(1, 1, Rgb([0u16, 51 * 257, 0xffff]));
        let images = single(name, DynamicImage::ImageRgb16(image), eight);
        assert_eq!(images.pixels, [0, 51, 255]);
    }
}

/// The values of an array of floats.
fn floats(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.as_chunks().0.iter();
    values.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn sixteen_bits_are_kept_in_memory_and_in_files() {
    for name in ["a.png", "a.tif"] {
        let image = ImageBuffer::from_fn(3, 1, |x, _| Luma([[1, 0x80ff, 0xffff][x as usize]]));
        let files = folder([(name, DynamicImage::ImageLuma16(image))]);
        let images = decoded(&files, PLAIN).expect(name);
        assert_eq!((images.channels, &images.notes[..]), (1, &[][..]));
        assert_eq!(floats(&images.pixels), [1.0, 33023.0, 65535.0]);
        let npy = files.path().join("cache.npy");
        let listing = list(files.path()).expect("images");
        decode_to_file(&listing, &PLAIN, &npy, &|_| {}).expect("written");
        let array = npy::read(fs::File::open(npy).expect("written"), "cache").expect("an array");
        assert_eq!(array.shape, [1, 1, 1, 3]);
        assert_eq!(array.values, NpyValues::F32(floats(&images.pixels)));
        let image = ImageBuffer::from_pixel(1, 1, Rgb([7u16, 300, 0xffff]));
        let images = single(name, DynamicImage::ImageRgb16(image), PLAIN);
        assert_eq!(floats(&images.pixels), [7.0, 300.0, 65535.0]);
    }
    // Scaled, composited on black and padded as images of 8 bits are.
    let image = ImageBuffer::from_pixel(4, 2, Rgba([1000u16, 2000, 4095, 0x7fff]));
    let options = FolderOptions {
        size: Some([2, 2]),
        fit: Some(Fit::Pad),
        ..PLAIN
    };
    let images = single("a.png", DynamicImage::ImageRgba16(image), options);
    let planes = floats(&images.pixels);
    assert_eq!(
        planes,
        [
            500., 500., 0., 0., 1000., 1000., 0., 0., 2047., 2047., 0., 0.
        ]
    );
}

#[test]
fn eight_and_sixteen_bits_do_not_mix_unless_eight_are_asked_for() {
    let deep = ImageBuffer::from_pixel(2, 2, Luma([0x1234u16]));
    let deep = DynamicImage::ImageLuma16(deep);
    let folder = folder([("a.png", deep), ("b.png", grey(2, 2).into())]);
    let said = message(decoded(&folder, PLAIN));
    assert!(
        said.contains("b.png: bits of a value: expected 16, as ") && said.contains("--bits 8"),
        "{said}"
    );
    let bits = |bits| FolderOptions {
        bits: Some(bits),
        ..PLAIN
    };
    let images = decoded(&folder, bits(Bits::Eight)).expect("images");
    assert_eq!(images.pixels, [vec![0x12; 4], grey(2, 2).to_vec()].concat());
    assert!(images.notes[0].starts_with("1 of 16 bits, the first a.png"));
    fs::remove_file(folder.path().join("a.png")).expect("removed");
    let said = message(decoded(&folder, bits(Bits::Sixteen)));
    assert!(said.contains("expected 16, as --bits says"), "{said}");
}

#[test]
fn alpha_is_composited_on_black() {
    let image = RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 100, 50, [0, 51][x as usize]]));
    let images = single("a.png", image, PLAIN);
    assert_eq!(images.pixels, [0, 40, 0, 20, 0, 10]);
    let image = GrayAlphaImage::from_fn(2, 1, |x, _| LumaA([200, [255, 128][x as usize]]));
    let images = single("a.png", image, PLAIN);
    assert_eq!((images.channels, images.pixels), (1, vec![200, 100]));
}

#[test]
fn the_orientation_that_a_camera_noted_is_applied() {
    // A TIFF header and one entry: tag 0x0112 (orientation), a short, once, the value 6 (turn clockwise).
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let folder = tempdir().expect("a folder");
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif.to_vec()).expect("supported");
    encoder
        .write_image(&[1, 2, 3, 4, 5, 6], 3, 2, ExtendedColorType::L8)
        .expect("in memory");
    fs::write(folder.path().join("a.png"), png).expect("written");
    let images = decoded(&folder, PLAIN).expect("an image");
    assert_eq!((images.height, images.width), (3, 2));
    assert_eq!(images.pixels, [4, 1, 5, 2, 6, 3]);
}

#[test]
fn one_coloured_file_makes_the_set_coloured_unless_grey_is_asked_for() {
    let folder = folder([
        ("a.png", grey(2, 2).into()),
        ("b.png", RgbImage::from_pixel(2, 2, Rgb([255, 0, 0])).into()),
    ]);
    let images = decoded(&folder, PLAIN).expect("images");
    assert_eq!(images.channels, 3);
    assert_eq!(images.pixels[..12], grey(2, 2).repeat(3));
    let images = decoded(
        &folder,
        FolderOptions {
            grey: true,
            ..PLAIN
        },
    )
    .expect("images");
    assert_eq!(images.channels, 1);
    // BT.709 weighs red by 0.2126.
    assert_eq!(images.pixels, [grey(2, 2).to_vec(), vec![54; 4]].concat());
}

#[test]
fn other_shapes_are_cropped_padded_or_stretched() {
    // Columns: 0 0 | 100 100 100 100 | 200 200, two rows.
    let bands = [0, 0, 100, 100, 100, 100, 200, 200];
    let image = GrayImage::from_fn(8, 2, |x, _| Luma([bands[x as usize]]));
    let fitted = |image: &GrayImage, size, fit| {
        let options = FolderOptions {
            size: Some(size),
            fit: Some(fit),
            ..PLAIN
        };
        single("a.png", image.clone(), options).pixels
    };
    assert_eq!(fitted(&image, [2, 4], Fit::Crop), [100; 8]);
    assert_eq!(fitted(&image, [2, 2], Fit::Crop), [100; 4]);
    assert_eq!(fitted(&image, [1, 1], Fit::Crop), [100]);
    let rows = |rows: [u8; 4]| rows.map(|byte| [byte; 2]).concat();
    let upright = image::imageops::rotate90(&GrayImage::from_pixel(4, 2, Luma([100])));
    assert_eq!(
        fitted(&upright, [4, 4], Fit::Pad),
        [0, 100, 100, 0].repeat(4)
    );
    let lying = GrayImage::from_pixel(8, 4, Luma([100]));
    let padded = fitted(&lying, [4, 2], Fit::Pad);
    assert_eq!(padded, rows([0, 100, 0, 0]));
    let stretched = fitted(&image, [4, 8], Fit::Stretch);
    assert_eq!(stretched, bands.repeat(4));
    // A thin image does not vanish.
    let line = GrayImage::from_pixel(64, 1, Luma([100]));
    assert_eq!(fitted(&line, [4, 4], Fit::Pad)[4..8], [100; 4]);
    assert_eq!(fitted(&line, [4, 4], Fit::Crop), [100; 16]);
}

#[test]
fn another_size_of_the_same_shape_needs_no_fit() {
    let options = FolderOptions {
        size: Some([1, 2]),
        ..PLAIN
    };
    // Halving weights the neighbouring pixels by distance; an image of one colour stays unchanged.
    let image = RgbImage::from_pixel(8, 4, Rgb([10, 20, 30]));
    let images = single("a.png", image, options);
    assert_eq!(images.pixels, [10, 10, 20, 20, 30, 30]);
    let folder = folder([("a.png", grey(4, 4).into())]);
    let said = message(decoded(&folder, options));
    assert!(said.ends_with(
        "a.png: size: expected the aspect ratio of 1 x 2, found 4 x 4 (choose `--fit crop`, `pad` or `stretch`)"
    ), "{said}");
    let options = FolderOptions {
        size: Some([0, 4]),
        ..PLAIN
    };
    let said = message(decoded(&folder, options));
    assert!(
        said.ends_with("--size: expected a height and a width from 1 to 65535, found 0 x 4"),
        "{said}"
    );
}
