//! Files as other programs write them: tables of every dialect with ids, MNIST's successors, and formats that are not read.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::program::{folder, info, sum, vae_gpu};

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn a_table_is_the_same_in_every_dialect() {
    let parent = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let rows = (0..20).map(|row| format!("{}.5,{}.25\n", row % 7, row % 3));
    let commas = format!("a,b\n{}", rows.collect::<String>());
    let (expected, is_read) = info(&write("a.csv", commas.as_bytes()), &[]);
    assert!(is_read && expected.contains("columns: a, b"), "{expected}");
    let semicolons = commas.replace(',', ";");
    let german = semicolons.replace('.', ",");
    for (name, text) in [
        ("semicolons.csv", semicolons.clone()),
        ("tabs.csv", commas.replace(',', "\t")),
        ("tabs.txt", commas.replace(',', "\t")),
        ("commas.txt", commas.clone()),
        ("spaces.txt", commas.replace(',', "   ")),
        ("pipes.csv", commas.replace(',', "|")),
        ("german.csv", german.clone()),
        ("german.tsv", german.replace(';', "\t")),
    ] {
        let (said, is_read) = info(&write(name, text.as_bytes()), &[]);
        assert!(is_read, "{name}: {said}");
        assert_eq!(sum(&said), sum(&expected), "{name}: {said}");
        let zipped = write(&format!("{name}.gz"), &gzipped(text.as_bytes()));
        let (said, is_read) = info(&zipped, &[]);
        assert!(is_read, "{name}.gz: {said}");
        assert_eq!(sum(&said), sum(&expected), "{name}.gz: {said}");
    }
    let (said, _) = info(&write("german.csv", german.as_bytes()), &[]);
    let dialect = "separated by semicolons, with decimal commas";
    assert!(said.contains(dialect), "{said}");
    let asked = ["--separator", "semicolon", "--decimal", "comma"];
    let (said, _) = info(&write("asked.csv", german.as_bytes()), &asked);
    assert_eq!(sum(&said), sum(&expected));
    let wrong = ["--separator", "tab"];
    let (said, is_read) = info(&write("wrong.csv", german.as_bytes()), &wrong);
    assert!(!is_read && said.contains("line 2"), "{said}");
    let (said, is_read) = info(Path::new("digits"), &wrong);
    assert!(!is_read && said.contains("--separator"), "{said}");
}

#[test]
fn ids_of_a_table_survive_encoding_and_scoring() {
    let parent = folder();
    let data = parent.path().join("cells.csv");
    let rows = (0..40).map(|row| format!("AAAC-{row},{}.5,{}\n", row % 7, row % 3));
    fs::write(&data, format!(",a,b\n{}", rows.collect::<String>())).expect("writable");
    let run = parent.path().join("run");
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "4"]);
    command.args(["--epochs", "1", "--batch-size", "10", "--ids", "1"]);
    command.args(["--likelihood", "gaussian", "--scale", "standardize"]);
    command.arg("--data").arg(&data).arg("--out").arg(&run);
    command.assert().success();
    for (verb, options) in [("encode", &[][..]), ("score", &[]), ("score", &["--sort"])] {
        let out = parent.path().join("out.csv");
        let mut command = vae_gpu(&[verb, "--backend", "cpu", "--part", "train", "--force"]);
        command.arg(&run).args(options).arg("--out").arg(&out);
        command.assert().success();
        let table = fs::read_to_string(&out).expect("written");
        let mut rows = table.lines().skip(1);
        assert!(rows.all(|row| row.starts_with("AAAC-")), "{verb}: {table}");
        if !options.is_empty() {
            let ranks = table.lines().skip(1).map(|row| row.rsplit(',').next());
            let ranks: Vec<Option<usize>> = ranks.map(|rank| rank?.parse().ok()).collect();
            assert!(ranks.is_sorted() && ranks[0] == Some(1), "{table}");
        }
    }
}

/// An IDX file of `count` images of 2 x 2, or of as many labels.
fn idx(path: &Path, count: u8, is_images: bool) {
    let sizes = if is_images {
        &[count, 2, 2][..]
    } else {
        &[count]
    };
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|&size| [0, 0, 0, size]));
    let length: usize = sizes.iter().map(|&size| usize::from(size)).product();
    bytes.extend((0..length).map(|at| (at % 256) as u8));
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    let bytes = if is_gzip { gzipped(&bytes) } else { bytes };
    fs::write(path, bytes).expect("writable");
}

fn four(folder: &Path, names: [&str; 4]) {
    for (file, name) in names.into_iter().enumerate() {
        let count = if file < 2 { 9 } else { 4 };
        idx(&folder.join(name), count, file % 2 == 0);
    }
}

#[test]
fn successors_of_mnist_are_found_under_their_names() {
    let emnist = [
        "emnist-letters-train-images-idx3-ubyte.gz",
        "emnist-letters-train-labels-idx1-ubyte.gz",
        "emnist-letters-test-images-idx3-ubyte.gz",
        "emnist-letters-test-labels-idx1-ubyte.gz",
    ];
    let kaggle = [
        "train-images.idx3-ubyte",
        "train-labels.idx1-ubyte",
        "t10k-images.idx3-ubyte",
        "t10k-labels.idx1-ubyte",
    ];
    let plain = kaggle.map(|name| name.replace('.', "-"));
    let plain = plain.each_ref().map(String::as_str);
    // As unpacked one by one.
    let nested = plain.map(|name| format!("{name}/{name}"));
    let nested = nested.each_ref().map(String::as_str);
    for (names, below) in [
        (emnist, ""),
        (emnist, "EMNIST/raw"),
        (kaggle, ""),
        (plain, "MNIST/raw"),
        (plain, "raw"),
        (emnist, "gzip"),
        (emnist, "EMNIST/gzip"),
        (nested, ""),
    ] {
        let parent = folder();
        four(&parent.path().join(below), names);
        let (said, is_read) = info(parent.path(), &[]);
        assert!(is_read, "{names:?} in `{below}`: {said}");
        for expected in [
            "\nsamples: 9 of 2 x 2 in 9 classes",
            "\ntest samples: 4 of 2 x 2",
        ] {
            assert!(said.contains(expected), "{names:?} in `{below}`: {said}");
        }
        let is_transposed = said.contains("rows and columns exchanged");
        assert_eq!(is_transposed, names == emnist, "{said}");
    }
    let parent = folder();
    four(parent.path(), emnist);
    let digits = emnist.map(|name| name.replace("letters", "digits"));
    four(parent.path(), digits.each_ref().map(String::as_str));
    let (said, is_read) = info(parent.path(), &[]);
    assert!(
        !is_read && said.contains("`emnist-digits-`, `emnist-letters-`"),
        "{said}"
    );
    let parent = folder();
    four(parent.path(), kaggle);
    fs::remove_file(parent.path().join(kaggle[1])).expect("removed");
    let (said, is_read) = info(parent.path(), &[]);
    assert!(
        !is_read && said.contains("train-labels-idx1-ubyte"),
        "{said}"
    );
}

#[test]
fn formats_that_are_not_read_are_named_with_a_way_out() {
    let parent = folder();
    let mut hdf5 = b"\x89HDF\r\n\x1a\n".to_vec();
    hdf5.extend([0; 64]);
    for (name, bytes, expected) in [
        (
            "a.mat",
            &b"MATLAB 5.0 MAT-file, Platform: GLNXA64"[..],
            ["a MATLAB file", "scipy.io"],
        ),
        (
            "b.mat",
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64",
            ["MATLAB 7.3", "h5py"],
        ),
        ("c.h5ad", &hdf5, ["HDF5", "anndata"]),
        ("d.pkl", b"\x80\x04\x95\x00", ["pickle", "pickle.load"]),
        (
            "f.jsonl",
            b"{\"a\": 1}\n{\"a\": 2}\n",
            ["JSON", "read_json"],
        ),
        ("g.json", b"[[1, 2], [3, 4]]", ["JSON", "read_json"]),
        ("h.feather", b"ARROW1\0\0", ["Arrow", "read_feather"]),
        (
            "i.npy.gz",
            &gzipped(b"\x93NUMPY\x01\x00"),
            ["an NPY file, gzipped", "gunzip"],
        ),
        (
            "j.mat.gz",
            &gzipped(b"MATLAB 5.0 MAT-file"),
            ["a MATLAB file, gzipped", "gunzip"],
        ),
        (
            "k.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            ["Excel", "read_excel"],
        ),
    ] {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("writable");
        let (said, is_read) = info(&path, &[]);
        assert!(!is_read, "{name}: {said}");
        for part in expected {
            assert!(said.contains(part), "{name}: {said}");
        }
    }
    for (name, entry, expected) in [
        ("a.zip", "notes/readme.txt", "`notes/readme.txt`"),
        ("b.xlsx", "[Content_Types].xml", "read_excel"),
        ("c.pt", "archive/data.pkl", "torch.load"),
    ] {
        let path = parent.path().join(name);
        let mut zip = zip::ZipWriter::new(File::create(&path).expect("writable"));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(entry, options).expect("writable");
        zip.finish().expect("writable");
        let (said, is_read) = info(&path, &[]);
        assert!(!is_read && said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn matrix_market_is_read_as_the_table_that_it_is() {
    let parent = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let value = |row: usize, column: usize| (row * 7 + column * 3) % 5;
    let places = (0..12).flat_map(|row| (0..3).map(move |column| (row, column)));
    let some = places.filter(|&(row, column)| value(row, column) > 0);
    let entries: Vec<String> = some
        .map(|(row, column)| format!("{} {} {}\n", row + 1, column + 1, value(row, column)))
        .collect();
    let sizes = format!("12 3 {}\n", entries.len());
    let header = "%%MatrixMarket matrix coordinate integer general\n%written by hand\n";
    let matrix = header.to_owned() + &sizes + &entries.concat();
    let rows = (0..12).map(|row| {
        [0, 1, 2]
            .map(|column| value(row, column).to_string())
            .join(",")
    });
    let csv = write("a.csv", rows.collect::<Vec<_>>().join("\n").as_bytes());
    let (expected, _) = info(&csv, &[]);
    for (name, bytes) in [
        ("a.mtx", matrix.as_bytes()),
        ("a.mtx.gz", &gzipped(matrix.as_bytes())),
        ("a.txt", matrix.as_bytes()),
    ] {
        let (said, is_read) = info(&write(name, bytes), &[]);
        assert!(is_read && said.contains("12 of 3 columns"), "{said}");
        assert!(said.contains("each of the 12 rows is one"), "{said}");
        assert_eq!(sum(&said), sum(&expected), "{name}");
    }
    // Its values are counts, of which a likelihood of counts learns.
    let run = parent.path().join("run");
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--epochs", "1"]);
    command.args(["--hidden", "4", "--likelihood", "poisson", "--data"]);
    command
        .arg(parent.path().join("a.mtx.gz"))
        .arg("--out")
        .arg(run);
    command.assert().success();
}

#[test]
fn idx_files_of_other_types_are_read() {
    let parent = folder();
    let path = parent.path().join("floats.idx");
    let mut bytes = vec![0, 0, 0x0d, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 2];
    bytes.extend((0..40u8).flat_map(|at| (f32::from(at) / 64.0).to_be_bytes()));
    let labels = parent.path().join("labels.idx");
    let mut classes = vec![0, 0, 0x0c, 1, 0, 0, 0, 10];
    classes.extend((0..10i32).flat_map(|at| (at % 2 - 1).to_be_bytes()));
    fs::write(&labels, classes).expect("writable");
    let labels = labels.to_str().expect("UTF-8");
    for bytes in [bytes.clone(), gzipped(&bytes)] {
        fs::write(&path, &bytes).expect("writable");
        let (said, is_read) = info(&path, &["--labels", labels]);
        assert!(is_read, "{said}");
        let expected = "samples: 10 of 2 x 2 in 2 classes, values from 0 to 0.609375";
        assert!(
            said.contains(expected) && said.contains("-1: 5, 0: 5"),
            "{said}"
        );
        let (said, is_read) = info(&path, &["--stream"]);
        let expected = if bytes[0] == 0 {
            "IDX files of other elements than unsigned bytes cannot be streamed"
        } else {
            "gzipped files cannot be streamed"
        };
        assert!(!is_read && said.contains(expected), "{said}");
        assert!(said.contains("data convert"), "{said}");
    }
}

#[test]
fn a_zip_of_images_is_read_as_its_folder_is() {
    let parent = folder();
    let pictures = parent.path().join("pictures");
    let cache = parent.path().join("cache");
    let mut files = Vec::new();
    for (class, shade) in [("cats", 40u8), ("dogs", 200)] {
        fs::create_dir_all(pictures.join(class)).expect("writable");
        for index in 0..5u8 {
            let name = format!("{class}/{index}.png");
            let image = image::GrayImage::from_pixel(6, 4, image::Luma([shade + index]));
            image.save(pictures.join(&name)).expect("writable");
            files.push(name);
        }
    }
    let (expected, is_read) = info(&pictures, &[]);
    assert!(
        is_read && expected.contains("10 of 4 x 6 in 2 classes"),
        "{expected}"
    );
    for wrapping in ["", "pictures/", "a/"] {
        let path = parent.path().join("pictures.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).expect("writable"));
        let options = zip::write::SimpleFileOptions::default();
        for name in &files {
            zip.start_file(format!("{wrapping}{name}"), options)
                .expect("writable");
            zip.write_all(&fs::read(pictures.join(name)).expect("there"))
                .expect("writable");
        }
        zip.start_file("__MACOSX/._x.png", options)
            .expect("writable");
        zip.finish().expect("writable");
        // The second time from the cache.
        for _ in 0..2 {
            let mut command = vae_gpu(&["data", "info"]);
            let output = command.arg(&path).env("VAE_GPU_CACHE", &cache).output();
            let output = output.expect("started");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "`{wrapping}`: {output:?}");
            assert_eq!(sum(&said), sum(&expected), "`{wrapping}`: {said}");
        }
    }
    let unpacked = fs::read_dir(cache.join("data/unpacked")).expect("there");
    assert_eq!(
        unpacked.count(),
        3,
        "one folder for each zip, and nothing unfinished"
    );
}

#[test]
fn a_local_file_that_was_cut_short_is_not_taken_for_a_download_alone() {
    let parent = folder();
    let path = parent.path().join("new.npz");
    fs::write(&path, b"PK\x03\x04 and no more").expect("writable");
    let (said, is_good) = info(&path, &[]);
    assert!(!is_good, "{said}");
    assert!(
        said.contains("damaged or cut short? copy or download it again"),
        "{said}"
    );
}
