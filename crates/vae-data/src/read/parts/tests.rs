//! Folders of arrays and tables are one data set, or say why not.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::Dataset;
use crate::npy::{NpyArrayRef, header_bytes, write_f32, write_i64, write_npz, write_u8};

fn open_with(path: &Path, options: &ReadOptions) -> Result<Source, String> {
    let name = path.display().to_string();
    Source::open(&name, options, &|_| {}).map_err(|error| error.to_string())
}

fn open(path: &Path) -> Result<Source, String> {
    open_with(path, &ReadOptions::default())
}

fn with_labels(labels: impl AsRef<Path>) -> ReadOptions {
    ReadOptions {
        labels: Some(labels.as_ref().display().to_string()),
        ..ReadOptions::default()
    }
}

/// A folder with these files.
fn folder_of(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }
    folder
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("in memory");
    bytes
}

/// Images of 2 x 2 whose first value is their number.
fn images(numbers: std::ops::Range<u8>) -> Vec<u8> {
    let values: Vec<u8> = numbers.clone().flat_map(|n| [n, 7, n % 3, 255]).collect();
    written(|out| write_u8(out, &[numbers.len(), 2, 2], &values))
}

fn floats(rows: usize, columns: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
    written(|out| write_f32(out, &[rows, columns], &values))
}

fn integers(values: &[i64], columns: &[usize]) -> Vec<u8> {
    let rows = values.len() / columns.iter().product::<usize>();
    written(|out| write_i64(out, &[&[rows], columns].concat(), values))
}

fn sum(source: &Source) -> String {
    Dataset::fingerprint_of(source)
}

#[test]
fn parts_are_the_whole_in_the_order_of_their_numbers() {
    let folder = folder_of(&[
        ("whole/all.npy", images(0..60)),
        ("parts/part-10.npy", images(40..60)),
        ("parts/part-2.npy", images(3..40)),
        ("parts/part-1.npy", images(0..3)),
        ("parts/.part-1.npy.7.tmp", vec![1]),
        ("bytewise/a.npy", images(0..3)),
        ("bytewise/b.npy", images(40..60)),
        ("bytewise/c.npy", images(3..40)),
    ]);
    let read = |name: &str| open(&folder.path().join(name)).expect("readable");
    let [whole, parts, bytewise] = ["whole/all.npy", "parts", "bytewise"].map(read);
    assert_eq!(parts.train.count(), 60);
    assert_eq!(parts.train.array.pixels, whole.train.array.pixels);
    assert_eq!(sum(&parts), sum(&whole));
    assert_ne!(sum(&bytewise), sum(&whole), "the order counts");
    assert_eq!(parts.format, "NPY of U8, in 3 files");
    assert_eq!(parts.notes, [""; 0]);
    assert_eq!(sum(&read("whole")), sum(&whole), "a single file");
    assert_eq!(read("whole").format, "NPY of U8");
}

#[test]
fn a_thousand_files_of_integers_are_the_whole() {
    let values: Vec<i64> = (0..3000).map(|value| value * 7 % 1000 - 300).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("parts")).expect("writable");
    for (part, values) in values.chunks(3).enumerate() {
        let file = at("parts").join(format!("{part}.npy"));
        fs::write(file, integers(values, &[3])).expect("writable");
    }
    fs::write(at("all.npy"), integers(&values, &[3])).expect("writable");
    let [parts, whole] = ["parts", "all.npy"].map(|name| open(&at(name)).expect("readable"));
    assert_eq!(sum(&parts), sum(&whole));
    assert!(parts.train.array.is_integer);
}

#[test]
fn tables_keep_their_labels_and_ids_and_columns_are_matched_by_name() {
    let folder = folder_of(&[
        (
            "all.csv",
            b"id,a,b,kind\nx,1,2,cat\ny,3,4,10\nz,5,6,ant\nv,7,8,9\n".to_vec(),
        ),
        ("parts/0.csv", b"id,a,b,kind\nx,1,2,cat\n".to_vec()),
        ("parts/1.csv", b"id,b,a,kind\ny,4,3,10\n".to_vec()),
        ("parts/2.csv", b"id,a,b,kind\nz,5,6,ant\nv,7,8,9\n".to_vec()),
        ("cut/aa.csv", b"a,b\n1,2\n".to_vec()),
        ("cut/ab.csv", b"3,4\n".to_vec()),
        ("wrong/0.csv", b"a,b\n1,2\n".to_vec()),
        ("wrong/1.csv", b"a,c\n1,2\n".to_vec()),
    ]);
    let options = ReadOptions {
        ids: Some("id".into()),
        ..with_labels("kind")
    };
    let read = |name: &str| open_with(&folder.path().join(name), &options).expect("readable");
    let [parts, whole] = ["parts", "all.csv"].map(read);
    assert_eq!(parts.train.array.labels, whole.train.array.labels);
    assert_eq!(parts.train.class_names(), ["9", "10", "ant", "cat"]);
    assert_eq!(parts.train.array.names, whole.train.array.names);
    assert_eq!(parts.train.array.columns, whole.train.array.columns);
    assert_eq!(sum(&parts), sum(&whole));
    let [note] = &parts.notes[..] else {
        panic!("{:?}", parts.notes);
    };
    assert!(
        note.starts_with("columns put in the order of those of") && note.ends_with(": in `1.csv`"),
        "{note}"
    );
    // As `split` cuts a table, its names are in the first.
    let cut = open(&folder.path().join("cut")).expect("readable");
    assert_eq!(cut.train.gather(&[0, 1]), [1.0, 2.0, 3.0, 4.0]);
    let error = open(&folder.path().join("wrong")).expect_err("another column");
    assert!(
        error.contains("1.csv: samples: expected the columns `a`, `b` as in"),
        "{error}"
    );
}

#[test]
fn labels_of_arrays_are_those_of_all_files() {
    let npz = |numbers: std::ops::Range<u8>, labels: &[i64]| {
        let values: Vec<u8> = numbers.clone().flat_map(|n| [n; 4]).collect();
        let ids: Vec<String> = numbers.clone().map(|n| format!("id {n}")).collect();
        let rows = [numbers.len()];
        let shape = [numbers.len(), 2, 2];
        let arrays = [
            ("x", NpyArrayRef::U8(&shape, &values)),
            ("y", NpyArrayRef::I64(&rows, labels)),
            ("ids", NpyArrayRef::Text(&rows, &ids)),
        ];
        let mut out = std::io::Cursor::new(Vec::new());
        write_npz(&mut out, &arrays).expect("in memory");
        out.into_inner()
    };
    let folder = folder_of(&[
        ("all.npz", npz(0..5, &[7, -2, 12, 7, 9])),
        ("arrays/0.npz", npz(0..2, &[7, -2])),
        ("arrays/1.npz", npz(2..5, &[12, 7, 9])),
        ("parts/0.npy", images(0..2)),
        ("parts/0.labels.npy", integers(&[7, -2], &[])),
        ("parts/1.npy", images(2..5)),
        ("parts/1.labels.npy", integers(&[12, 7, 9], &[])),
        ("labels/0.npy", integers(&[7, -2], &[])),
        ("labels/1.npy", integers(&[12, 7, 9], &[])),
        ("few/0.npy", integers(&[7, -2], &[])),
        ("long/0.npy", integers(&[7, -2, 1], &[])),
        ("all.npy", integers(&[7, -2, 12, 7, 9], &[])),
    ]);
    let at = |name: &str| folder.path().join(name);
    let whole = open(&at("all.npz")).expect("readable");
    let arrays = open(&at("arrays")).expect("readable");
    assert_eq!(sum(&arrays), sum(&whole));
    assert_eq!(arrays.train.id(3), "id 3");
    let expected = whole.train.array.labels.as_ref();
    for labels in ["parts", "labels", "all.npy"] {
        let read = open_with(&at("parts"), &with_labels(at(labels))).expect("readable");
        assert_eq!(read.train.array.labels.as_ref(), expected, "{labels}");
        assert_eq!(read.notes, [""; 0]);
    }
    let [note] = &open(&at("parts")).expect("readable").notes[..] else {
        panic!("one note");
    };
    assert!(note.contains("left out: 2 files of labels"), "{note}");
    for (labels, expected) in [
        ("few", "expected the labels of"),
        ("long", "0.npy: number of labels: expected 2"),
        (
            "labels/1.npy",
            "number of labels: expected 5, as many as there are samples, found 3",
        ),
    ] {
        let error = open_with(&at("parts"), &with_labels(at(labels))).expect_err(labels);
        assert!(error.contains(expected), "{labels}: {error}");
    }
}

#[test]
fn parts_of_the_data_are_told_by_names_of_files_and_of_folders() {
    let folder = folder_of(&[
        ("names/train-0.npy", images(0..5)),
        ("names/train-1.npy", images(5..9)),
        ("names/validation.npy", images(9..12)),
        ("names/test.npy", images(12..14)),
        ("folders/train/0.npy", images(0..5)),
        ("folders/train/1.npy", images(5..9)),
        ("folders/val/0.npy", images(9..12)),
        ("folders/test/0.npy", images(12..14)),
        ("both/train/train.npy", images(0..5)),
        ("both/train/test.npy", images(0..5)),
        ("both/test/0.npy", images(0..5)),
        ("deep/cat/0.npy", images(0..5)),
        ("deep/dog/0.npy", images(0..5)),
        ("mixed/train.npy", images(0..5)),
        ("mixed/more.npy", images(0..5)),
    ]);
    for (name, format) in [
        ("names", "NPY of U8, in files of"),
        ("folders", "NPY of U8, in 2 files, in folders of"),
    ] {
        let source = open(&folder.path().join(name)).expect("readable");
        let all = format!("{format} training, validation and test samples");
        assert_eq!(source.format, all);
        let others = [source.validation.as_ref(), source.test.as_ref()];
        let [validation, test] = others.map(|part| part.expect("there"));
        let counts = [source.train.count(), validation.count(), test.count()];
        assert_eq!(counts, [9, 3, 2], "{name}");
        assert_eq!([validation.bytes(0)[0], test.bytes(0)[0]], [9, 12]);
    }
    let error = open(&folder.path().join("both")).expect_err("in doubt");
    assert!(error.contains("not by both, found `train` with"), "{error}");
    let error = open(&folder.path().join("deep")).expect_err("no class folders of arrays");
    assert!(error.contains("2 .npy (arrays and tables are"), "{error}");
    let error = open(&folder.path().join("mixed")).expect_err("in doubt");
    assert!(error.contains("found `more`, `train`"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_named_with_a_way_out() {
    let truncated = images(2..4)[..130].to_vec();
    let empty = header_bytes("|u1", &[0, 2, 2]);
    for (files, expected) in [
        (
            &[("0.npy", images(0..2)), ("1.npy", floats(2, 4))][..],
            &[
                "1.npy: samples: expected rows of [2, 2] of U8 as in",
                "0.npy",
                "found rows of [4] of F32",
                "name a single file",
            ][..],
        ),
        (
            &[
                ("0.npy", floats(2, 4)),
                ("1.npy", integers(&[1, 2, 3, 4], &[4])),
            ],
            &[
                "1.npy: samples: expected rows of [4] of F32 as in",
                "rows of [4] of I64",
            ],
        ),
        (
            &[("0.npy", images(0..2)), ("1.npy", truncated)],
            &["1.npy: data: expected 8 bytes", "truncated"],
        ),
        (
            &[("0.npy", images(0..2)), ("1.npy", empty)],
            &["1.npy: shape", "sizes above zero"],
        ),
        (
            &[("0.npy", images(0..2)), ("1.npy", Vec::new())],
            &["1.npy: header", "truncated"],
        ),
        (
            &[("0.csv", b"1,2\n".to_vec()), ("1.csv", b"1,2,3\n".to_vec())],
            &[
                "1.csv: samples: expected samples of 2 columns (floats) as in",
                "found samples of 3 columns",
            ],
        ),
        (
            &[("0.npy", images(0..2)), ("index.csv", b"1,2\n".to_vec())],
            &[
                "expected arrays or tables of one format",
                "`0.npy` and `index.csv`",
            ],
        ),
        (
            &[
                ("0.csv", b"1,2\n".to_vec()),
                ("0.csv.gz", b"1,2\n".to_vec()),
            ],
            &["expected each file once", "`0.csv` and `0.csv.gz`"],
        ),
        (
            &[
                ("z.npy", floats(2, 2)),
                ("z.1-of-2.npy", floats(1, 2)),
                ("z.2-of-2.npy", floats(1, 2)),
            ],
            &["what they were merged into", "`z.npy` and parts of it"],
        ),
        (
            &[
                ("z-00000-of-00003.npy", floats(1, 2)),
                ("z-00002-of-00003.npy", floats(1, 2)),
            ],
            &["all 3 parts `z-…-of-3`, found 2, without 1"],
        ),
        (
            &[
                ("z.1-of-1.npy", floats(1, 2)),
                ("z.1-of-2.npy", floats(1, 2)),
                ("z.2-of-2.npy", floats(1, 2)),
            ],
            &["expected parts of one kind", "of 1 and of 2"],
        ),
        (
            &[
                ("z.1-of-1.npy", floats(1, 2)),
                ("z.2-of-1.npy", floats(1, 2)),
            ],
            &["all 1 parts `z.…-of-1`, found 2 beside them"],
        ),
        (
            &[("z.1-of-18446744073709551615.npy", floats(1, 2))],
            &["found 1, without 2, 3, 4"],
        ),
    ] {
        let folder = folder_of(files);
        let error = open(folder.path()).expect_err("refused");
        for part in expected {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn other_files_are_left_out_aloud_and_images_come_first() {
    let folder = folder_of(&[
        ("0.npy", images(0..2)),
        ("1.npy", images(2..4)),
        ("README.md", b"hello".to_vec()),
        ("old/2.npy", images(4..6)),
    ]);
    let source = open(folder.path()).expect("readable");
    assert_eq!(source.train.count(), 4);
    assert_eq!(
        source.notes,
        ["2 files left out, which are not parts of the data (.npy): 1 .md, 1 .npy"]
    );
    let png = image::GrayImage::from_fn(2, 2, |x, y| image::Luma([(x + 2 * y) as u8]));
    png.save(folder.path().join("old/a.png")).expect("writable");
    let source = open(folder.path()).expect("readable");
    assert_eq!(source.format, "image files");
    assert_eq!(
        source.notes,
        ["4 files left out, which are not images: 1 .md, 3 .npy"]
    );
}

#[test]
fn what_is_not_a_number_is_found_in_its_file() {
    let mut bad = floats(3, 2);
    let end = bad.len();
    bad[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = folder_of(&[("0.npy", floats(5, 2)), ("1.npy", bad)]);
    let source = open(folder.path()).expect("readable");
    let error = source.train.range().expect_err("a NaN").to_string();
    assert!(error.contains("sample 7, which is row 2 of"), "{error}");
    assert!(error.contains("1.npy, value 1"), "{error}");
}

#[test]
fn many_small_files_unpack_to_no_more_than_one() {
    const ROWS: usize = 140 << 10;
    let mut npz = std::io::Cursor::new(Vec::new());
    let zeros = vec![0; ROWS << 10];
    let x = NpyArrayRef::U8(&[ROWS, 1 << 10], &zeros);
    write_npz(&mut npz, &[("x", x)]).expect("in memory");
    let npz = npz.into_inner();
    let folder = folder_of(&[("0.npz", npz.clone()), ("1.npz", npz)]);
    let one = open(&folder.path().join("1.npz")).expect("below the limit");
    assert_eq!(one.train.count(), ROWS);
    let error = open(folder.path()).expect_err("both are above it");
    assert!(
        error.contains("unpacks to more than is in any honest file"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_to_another_part_is_no_part_of_its_own() {
    let folder = folder_of(&[("0.npy", images(0..2))]);
    std::os::unix::fs::symlink("0.npy", folder.path().join("latest.npy")).expect("linked");
    let error = open(folder.path()).expect_err("twice");
    assert!(
        error.contains("`0.npy` and `latest.npy`, which are the same"),
        "{error}"
    );
}

#[test]
fn options_of_tables_are_for_tables() {
    let folder = folder_of(&[
        ("a/0.npy", images(0..2)),
        ("b/0.csv", b"n,1.5\nm,2.5\n".to_vec()),
    ]);
    let options = ReadOptions {
        ids: Some("1".into()),
        ..ReadOptions::default()
    };
    let error = open_with(&folder.path().join("a"), &options).expect_err("no table");
    assert!(error.contains("--ids"), "{error}");
    let table = open_with(&folder.path().join("b"), &options).expect("a table");
    assert_eq!(table.train.id(1), "m");
}

#[cfg(feature = "parquet")]
#[test]
fn tables_of_parquet_are_one_table() {
    let pandas = include_bytes!("../../../assets/pandas.parquet").to_vec();
    let folder = folder_of(&[
        ("0.parquet", pandas.clone()),
        ("1.parquet", pandas.clone()),
        ("one/0.parquet", pandas),
    ]);
    let read = |path: &Path| open_with(path, &with_labels("kind")).expect("readable");
    let [all, one] = [folder.path(), &folder.path().join("one/0.parquet")].map(read);
    assert_eq!(all.format, "Parquet, in 2 files");
    let [three, six] = [&one, &all].map(|source| source.train.gather(&[0, 1, 2]));
    assert_eq!(three, six);
    assert_eq!(all.train.gather(&[3, 4, 5]), three);
    assert_eq!(all.train.array.columns, one.train.array.columns);
    assert_eq!(all.train.class_names(), ["setosa", "versicolor"]);
    assert_eq!(all.train.classes(), Some(vec![0, 0, 1, 0, 0, 1]));
}
