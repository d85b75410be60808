//! Folders of generated images: what is listed, refused, skipped and written. Tests of the pixels are in `pixels`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

use super::{DecodedImages, Fit, FolderOptions, Listing, cache_key, decode, decode_to_file, list};
use crate::DataError;
use crate::npy::header_bytes;

mod pixels;

const PLAIN: FolderOptions = FolderOptions {
    size: None,
    grey: false,
    fit: None,
    bits: None,
    skip_bad: false,
};

fn grey(width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([(16 * y + x) as u8]))
}

fn coloured(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([8 * x as u8, 8 * y as u8, 200 - 4 * x as u8])
    })
}

/// A temporary folder with these files.
fn folder<'a>(images: impl IntoIterator<Item = (&'a str, DynamicImage)>) -> TempDir {
    let folder = tempdir().expect("a folder");
    for (name, image) in images {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        image.save(path).expect("written");
    }
    folder
}

fn decoded(folder: &TempDir, options: FolderOptions) -> Result<DecodedImages, DataError> {
    decode(&list(folder.path())?, &options, &|_| {})
}

fn message<T>(result: Result<T, DataError>) -> String {
    let Err(error) = result else {
        panic!("an error was expected")
    };
    error.to_string()
}

fn names(listing: &Listing) -> Vec<String> {
    let files = listing.files.iter();
    files
        .map(|file| file.display().to_string().replace('\\', "/"))
        .collect()
}

#[test]
fn differing_sizes_are_named_when_none_is_asked_for() {
    let folder = folder([
        ("a.png", grey(4, 3).into()),
        ("b.png", grey(4, 3).into()),
        ("c.png", grey(4, 2).into()),
    ]);
    let said = message(decoded(&folder, PLAIN));
    assert!(said.contains("c.png: size: expected 3 x 4, as "), "{said}");
    assert!(
        said.ends_with("a.png has, found 2 x 4 (`--size HxW` scales all images)"),
        "{said}"
    );
}

#[test]
fn a_bad_file_is_named_or_skipped() {
    let folder = folder([("a.png", grey(4, 3).into()), ("d.png", grey(4, 3).into())]);
    let path = |name| folder.path().join(name);
    fs::write(path("c.png"), "no image").expect("written");
    // A valid header and corrupt pixels, which only the second pass can find.
    let mut damaged = fs::read(path("a.png")).expect("read");
    damaged.truncate(damaged.len() - 20);
    fs::write(path("b.png"), damaged).expect("written");

    let said = message(decoded(&folder, PLAIN));
    assert!(
        said.contains("c.png: image: expected a PNG, JPEG, GIF, BMP, WebP, TIFF or PNM file that can be decoded, found `"),
        "{said}"
    );
    assert!(
        said.ends_with("(`--skip-bad` leaves such files out)"),
        "{said}"
    );
    let options = FolderOptions {
        skip_bad: true,
        ..PLAIN
    };
    let images = decoded(&folder, options).expect("two are good");
    assert_eq!(images.kept, [0, 3]);
    assert_eq!(images.pixels, grey(4, 3).repeat(2));
    assert_eq!(images.skipped.len(), 2);
    assert!(
        images.skipped[0].starts_with("b.png: "),
        "{:?}",
        images.skipped
    );
    assert!(
        images.skipped[1].starts_with("c.png: "),
        "{:?}",
        images.skipped
    );

    fs::remove_file(path("c.png")).expect("removed");
    assert!(message(decoded(&folder, PLAIN)).contains("b.png: image: "));
    fs::remove_file(path("a.png")).expect("removed");
    fs::remove_file(path("d.png")).expect("removed");
    let said = message(decoded(&folder, options));
    assert!(
        said.contains("at least one that can be decoded, found 1 bad ones, the first b.png: "),
        "{said}"
    );
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let folder = folder([("a.bmp", coloured(4, 4).into())]);
    let path = folder.path().join("a.bmp");
    let mut bomb = fs::read(&path).expect("read");
    // Width and height.
    bomb[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    fs::write(&path, &bomb).expect("written");
    assert!(message(decoded(&folder, PLAIN)).contains("found `Memory limit exceeded`"));
    fs::remove_file(path).expect("removed");
    let endless = GrayImage::new(65_536, 1);
    endless.save(folder.path().join("a.png")).expect("written");
    let said = message(decoded(&folder, PLAIN));
    assert!(said.contains("found `Image size exceeds limit`"), "{said}");
}

#[test]
fn folders_are_classes_at_any_depth() {
    let folder = folder([
        ("cat/10.png", grey(2, 2).into()),
        ("cat/9.png", grey(2, 2).into()),
        ("cat/more/deep/1.PNG", grey(2, 2).into()),
        ("ant/x.png", grey(2, 2).into()),
        ("cat-like/x.png", grey(2, 2).into()),
        (".hidden/x.png", grey(2, 2).into()),
        ("ant/.hidden.png", grey(2, 2).into()),
    ]);
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    fs::write(folder.path().join("README.txt"), "no image").expect("written");
    let listing = list(folder.path()).expect("images");
    assert_eq!(
        names(&listing),
        [
            "ant/x.png",
            "cat/10.png",
            "cat/9.png",
            "cat/more/deep/1.PNG",
            "cat-like/x.png"
        ]
    );
    assert_eq!(listing.classes, ["ant", "cat", "cat-like"]);
    assert_eq!(listing.labels, Some(vec![0, 1, 1, 1, 2]));
}

#[test]
fn images_directly_in_the_folder_have_no_labels() {
    let folder = folder([("b.png", grey(2, 2).into()), ("a.png", grey(2, 2).into())]);
    let listing = list(folder.path()).expect("images");
    assert_eq!(names(&listing), ["a.png", "b.png"]);
    assert_eq!((listing.labels, listing.classes), (None, vec![]));

    fs::create_dir(folder.path().join("class")).expect("a folder");
    grey(2, 2)
        .save(folder.path().join("class/c.png"))
        .expect("written");
    let said = message(list(folder.path())).replace('\\', "/");
    assert!(
        said.ends_with("found both `a.png` and `class/c.png`"),
        "{said}"
    );
}

#[test]
fn a_folder_without_images_is_refused_with_what_would_be_accepted() {
    let folder = tempdir().expect("a folder");
    fs::write(folder.path().join("a.Txt"), "no image").expect("written");
    let said = message(list(folder.path()));
    assert!(
        said.contains("expected PNG, JPEG, GIF, BMP, WebP, TIFF or PNM files, directly or in")
            && said.ends_with("found none, but other files: 1 .txt"),
        "{said}"
    );
    let missing = folder.path().join("missing");
    assert!(message(list(&missing)).starts_with("no data at `"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_files_and_classes_and_loops_end() {
    use std::os::unix::fs::symlink;

    let elsewhere = folder([("x.png", grey(2, 2).into())]);
    let folder = folder([("cat/a.png", grey(2, 2).into())]);
    let link = |to: &Path, name| symlink(to, folder.path().join(name)).expect("a link");
    link(folder.path(), "self");
    link(Path::new(".."), "above");
    link(folder.path(), "cat/loop");
    link(elsewhere.path(), "dog");
    link(&elsewhere.path().join("x.png"), "cat/b.png");
    let listing = list(folder.path()).expect("images");
    assert_eq!(names(&listing), ["cat/a.png", "cat/b.png", "dog/x.png"]);
    assert_eq!(listing.labels, Some(vec![0, 0, 1]));

    link(Path::new("nowhere.png"), "cat/c.png");
    let said = message(decoded(&folder, PLAIN));
    assert!(said.contains("c.png: image: "), "{said}");
    let options = FolderOptions {
        skip_bad: true,
        ..PLAIN
    };
    let images = decoded(&folder, options).expect("three are good");
    assert_eq!(images.kept, [0, 1, 3]);
    let listing = list(folder.path()).expect("images");
    assert!(cache_key(&listing, &options).is_ok());
}

#[test]
fn a_file_holds_what_memory_would() {
    let folder = folder([
        ("a/1.png", coloured(6, 4).into()),
        ("a/2.png", grey(6, 4).into()),
        ("b/3.bmp", coloured(12, 8).into()),
    ]);
    fs::write(folder.path().join("a/15.png"), "no image").expect("written");
    let listing = list(folder.path()).expect("images");
    let options = FolderOptions {
        size: Some([4, 6]),
        skip_bad: true,
        ..PLAIN
    };
    let images = decode(&listing, &options, &|_| {}).expect("images");
    let npy = folder.path().join("cache.npy");
    let seen = AtomicU64::new(0);
    let file = decode_to_file(&listing, &options, &npy, &|progress| {
        if progress.what == "decoding images" {
            assert_eq!(progress.total, Some(3));
            seen.fetch_max(progress.done, Ordering::Relaxed);
        }
    })
    .expect("written");
    assert_eq!(seen.into_inner(), 3);
    assert_eq!(file.shape, [3, 3, 4, 6]);
    assert_eq!((file.kept, file.skipped), (images.kept, images.skipped));
    let header = header_bytes("|u1", &file.shape);
    let bytes = fs::read(&npy).expect("read");
    assert_eq!(bytes, [header, images.pixels].concat());

    // A failure leaves the old file, and no other.
    fs::write(folder.path().join("b/3.bmp"), "no image").expect("written");
    let plain = FolderOptions {
        skip_bad: false,
        ..options
    };
    assert!(decode_to_file(&listing, &plain, &npy, &|_| {}).is_err());
    assert_eq!(fs::read(&npy).expect("read"), bytes);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 3);
}

#[test]
fn chunks_are_in_order_and_the_file_says_how_many_were_good() {
    let shade = |index: u8| GrayImage::from_pixel(4, 4, Luma([index]));
    let folder = tempdir().expect("a folder");
    let path = |index| folder.path().join(format!("{index}.png"));
    for index in 0..10 {
        shade(index).save(path(index)).expect("written");
    }
    let good = fs::read(path(5)).expect("read");
    fs::write(path(5), &good[..good.len() - 20]).expect("written");
    let listing = list(folder.path()).expect("images");
    let options = FolderOptions {
        skip_bad: true,
        ..PLAIN
    };
    let npy = folder.path().join("cache.npy");
    // One thread, as a chunk has at least one image per thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let file = pool
        .expect("a thread")
        .install(|| decode_to_file(&listing, &options, &npy, &|_| {}))
        .expect("written");
    assert_eq!(file.shape, [9, 1, 4, 4]);
    let bytes = fs::read(&npy).expect("read");
    let mut expected = header_bytes("|u1", &[9, 1, 4, 4]);
    for index in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
        expected.extend(shade(index).iter());
    }
    assert_eq!(bytes, expected);
}

#[test]
fn a_header_takes_128_bytes_whatever_the_count() {
    for shape in [[0, 1, 1, 1], [usize::MAX, 3, 65_535, 65_535]] {
        let header = header_bytes("|u1", &shape);
        assert_eq!(header.len(), 128);
        assert_eq!(
            (&header[..10], header[127]),
            (&b"\x93NUMPY\x01\0\x76\0"[..], b'\n')
        );
    }
}

#[test]
fn the_cache_key_changes_with_options_and_with_files() {
    let files = || [("a.png", grey(4, 4).into()), ("b.png", grey(4, 4).into())];
    let folder_a = folder(files());
    let key = |folder: &TempDir, options| {
        cache_key(&list(folder.path()).expect("images"), &options).expect("a key")
    };
    let plain = key(&folder_a, PLAIN);
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, key(&folder_a, PLAIN));
    assert_ne!(
        plain,
        key(
            &folder_a,
            FolderOptions {
                grey: true,
                ..PLAIN
            }
        )
    );
    assert_ne!(
        plain,
        key(
            &folder_a,
            FolderOptions {
                size: Some([4, 4]),
                ..PLAIN
            }
        )
    );
    assert_ne!(
        plain,
        key(
            &folder_a,
            FolderOptions {
                fit: Some(Fit::Pad),
                ..PLAIN
            }
        )
    );
    assert_ne!(plain, key(&folder(files()), PLAIN));

    let path = folder_a.path().join("b.png");
    let file = fs::File::options().write(true).open(&path).expect("opened");
    let changed = file
        .metadata()
        .and_then(|data| data.modified())
        .expect("a time");
    file.set_modified(std::time::UNIX_EPOCH).expect("changed");
    assert_ne!(plain, key(&folder_a, PLAIN));
    file.set_modified(changed).expect("changed");
    assert_eq!(plain, key(&folder_a, PLAIN));
    fs::rename(path, folder_a.path().join("c.png")).expect("renamed");
    assert_ne!(plain, key(&folder_a, PLAIN));
}
