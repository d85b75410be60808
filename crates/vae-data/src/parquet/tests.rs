//! Tests of the Parquet reader, on files written by the `parquet` crate and one by pandas.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, GzipLevel};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::*;

/// Written by `assets/pandas_parquet.py`.
const PANDAS: &[u8] = include_bytes!("../../assets/pandas.parquet");

type Group<'a, 'b> = SerializedRowGroupWriter<'a, &'b mut Vec<u8>>;

/// A file of `groups` equal row groups.
fn file_of(
    properties: WriterProperties,
    groups: usize,
    schema: &str,
    columns: impl Fn(&mut Group<'_, '_>),
) -> Vec<u8> {
    let schema = parse_message_type(&format!("message m {{ {schema} }}")).expect("a schema");
    let (schema, properties) = (Arc::new(schema), Arc::new(properties));
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties).expect("in memory");
    for _ in 0..groups {
        let mut group = file.next_row_group().expect("in memory");
        columns(&mut group);
        group.close().expect("in memory");
    }
    file.close().expect("in memory");
    bytes
}

fn file(schema: &str, columns: impl Fn(&mut Group<'_, '_>)) -> Vec<u8> {
    file_of(WriterProperties::default(), 1, schema, columns)
}

/// Writes the next column; `None` is a missing value.
fn column<T: DataType>(group: &mut Group<'_, '_>, cells: &[Option<T::T>]) {
    let levels: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    let values: Vec<T::T> = cells.iter().flatten().cloned().collect();
    let mut column = group.next_column().expect("in memory").expect("a column");
    let typed = column.typed::<T>();
    let written = typed.write_batch(&values, Some(&levels), None);
    written.expect("in memory");
    column.close().expect("in memory");
}

fn read_bytes(bytes: &[u8], label: Option<&str>) -> Result<Table, DataError> {
    Source(Path::new("x.parquet")).read(Bytes::copy_from_slice(bytes), [label.map(own), None])
}

/// A column of text that must be there.
fn own(name: &str) -> Asked<'_> {
    Asked {
        name,
        is_inherited: false,
    }
}

/// The error message without the file name.
fn message(bytes: &[u8], label: Option<&str>) -> String {
    let error = read_bytes(bytes, label).expect_err("a wrong file");
    error.to_string().replacen("x.parquet: ", "", 1)
}

/// One column `x` of doubles.
fn doubles(cells: &[Option<f64>]) -> Vec<u8> {
    file("OPTIONAL DOUBLE x;", |group| {
        column::<DoubleType>(group, cells);
    })
}

#[test]
fn a_table_of_pandas_is_read_with_its_labels() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pandas.parquet");
    let table = read(&path, Some(own("kind")), None).expect("a correct file");
    let expected = Table {
        columns: vec!["length".into(), "petals".into()],
        rows: 3,
        values: vec![5.1, 5.0, 4.9, 6.0, 7.0, 255.0],
        labels: Some(["setosa", "setosa", "versicolor"].map(String::from).into()),
        ids: None,
        had_header: true,
        dialect: String::new(),
        notes: Vec::new(),
    };
    assert_eq!(table, expected);
    // What other data had is not demanded.
    let inherited = Asked {
        name: "species",
        is_inherited: true,
    };
    let numbers = doubles(&[Some(1.0)]);
    let read = Source(Path::new("x.parquet")).read(Bytes::from(numbers), [Some(inherited); 2]);
    assert_eq!(read.expect("no labels are needed").labels, None);
    // The kinds as ids, beside the lengths as labels.
    let table = super::read(&path, Some(own("length")), Some(own("kind")));
    let table = table.expect("a correct file");
    assert_eq!(
        (table.columns, table.values),
        (vec!["petals".into()], vec![5.0, 6.0, 255.0])
    );
    assert_eq!(table.labels.expect("labels"), ["5.1", "4.9", "7"]);
    assert_eq!(table.ids.expect("ids"), ["setosa", "setosa", "versicolor"]);
    let error = super::read(&path, None, Some(own("cell"))).expect_err("no such column");
    assert!(
        error
            .to_string()
            .contains("id column: expected one of the columns"),
        "{error}"
    );
}

#[test]
fn every_number_type_is_read_across_row_groups_and_as_a_label() {
    let schema = "REQUIRED BOOLEAN bool; REQUIRED INT32 i8 (INT_8); OPTIONAL INT32 u32 (UINT_32);
        REQUIRED INT64 i64; OPTIONAL INT64 u64 (INTEGER(64, false)); REQUIRED FLOAT f32; OPTIONAL DOUBLE f64;";
    let columns = |group: &mut Group<'_, '_>| {
        column::<BoolType>(group, &[Some(true), Some(false)]);
        column::<Int32Type>(group, &[Some(-128), Some(127)]);
        column::<Int32Type>(group, &[Some(-1), Some(1)]);
        column::<Int64Type>(group, &[Some(i64::MIN), Some(3)]);
        column::<Int64Type>(group, &[Some(-1), Some(4)]);
        column::<FloatType>(group, &[Some(f32::MIN_POSITIVE), Some(-0.5)]);
        column::<DoubleType>(group, &[Some(0.1), Some(2.0)]);
    };
    let builder = WriterProperties::builder;
    let gzip = Compression::GZIP(GzipLevel::default());
    let bytes = [
        builder().build(),
        builder().set_compression(Compression::SNAPPY).build(),
        builder().set_dictionary_enabled(false).build(),
        // Version 2 of the writer stores integers as differences.
        builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_dictionary_enabled(false)
            .set_compression(gzip)
            .build(),
    ]
    .map(|properties| file_of(properties, 2, schema, columns));
    for bytes in &bytes {
        let table = read_bytes(bytes, None).expect("a correct file");
        let first = [
            1.0,
            -128.0,
            4294967295.0,
            -(2f32.powi(63)),
            2f32.powi(64),
            f32::MIN_POSITIVE,
            0.1,
        ];
        let second = [0.0, 127.0, 1.0, 3.0, 4.0, -0.5, 2.0];
        assert_eq!(table.values, [first, second, first, second].concat());
        assert_eq!(table.rows, 4);
        for (label, expected) in [
            ("bool", ["true", "false"]),
            ("u32", ["4294967295", "1"]),
            ("i64", ["-9223372036854775808", "3"]),
            ("u64", ["18446744073709551615", "4"]),
            ("f64", ["0.1", "2"]),
        ] {
            let table = read_bytes(bytes, Some(label)).expect("a correct file");
            assert_eq!(table.labels.expect("labels")[2..], expected);
            assert_eq!(table.columns.len(), 6);
        }
    }
}

#[test]
fn more_rows_than_are_decoded_at_a_time_stay_in_order() {
    let numbers: Vec<_> = (0..2 * BATCH + 3).map(|row| Some(row as f64)).collect();
    let table = read_bytes(&doubles(&numbers), None).expect("a correct file");
    assert!((0..2 * BATCH + 3).map(|row| row as f32).eq(table.values));
}

#[test]
fn each_wrong_value_is_named_by_its_row_and_column() {
    let mut cells = vec![Some(1.0); BATCH + 1];
    for (cell, expected) in [
        (None, "expected a number, found nothing (a missing value?)"),
        (
            Some(f64::NAN),
            "expected a number, found NaN (a missing value?)",
        ),
        (
            Some(f64::NEG_INFINITY),
            "expected a finite number of at most 3.4e38, found -inf",
        ),
        (
            Some(1e39),
            "expected a finite number of at most 3.4e38, found 1e39",
        ),
    ] {
        cells[BATCH] = cell;
        let expected = format!("row {}, column `x`: {expected}", BATCH + 1);
        assert_eq!(message(&doubles(&cells), None), expected);
    }
    for (cell, expected) in [
        (None, "row 2, column `k`: expected a text, found nothing"),
        (
            Some(" ".into()),
            "row 2, column `k`: expected a text, found nothing",
        ),
        (
            Some(vec![0xe9].into()),
            "row 2, column `k`: expected a text in UTF-8, found other bytes",
        ),
    ] {
        let bytes = file("REQUIRED FLOAT x; OPTIONAL BYTE_ARRAY k (UTF8);", |group| {
            column::<FloatType>(group, &[Some(1.0), Some(2.0)]);
            column::<ByteArrayType>(group, &[Some(" a ".into()), cell.clone()]);
        });
        assert_eq!(message(&bytes, Some("k")), expected);
    }
}

#[test]
fn columns_that_are_not_numbers_are_refused_by_name() {
    for (schema, expected) in [
        (
            "REQUIRED BYTE_ARRAY k (UTF8);",
            "column `k`: expected numbers, found text (if it is the label, --labels k; if a name of the row, --ids k; else leave it out)",
        ),
        (
            "REQUIRED INT64 t (TIMESTAMP(NANOS, true));",
            "column `t`: expected numbers, found dates or times (convert the column, or leave it out)",
        ),
        (
            "REQUIRED INT32 d (DECIMAL(5, 2));",
            "column `d`: expected numbers, found decimal numbers (convert the column, or leave it out)",
        ),
        (
            "OPTIONAL group l (LIST) { REPEATED group list { REQUIRED INT32 element; } }",
            "column `l`: expected one value in each row, found a list or structure (make columns of its parts, or leave \
             it out)",
        ),
        (
            "REQUIRED group s { REQUIRED INT32 a; REQUIRED INT32 b; }",
            "column `s`: expected one value in each row, found a list or structure (make columns of its parts, or leave \
             it out)",
        ),
        (
            "REQUIRED INT64 __index_level_0__;",
            "column `__index_level_0__`: expected data, found the row index of pandas (write the file with index=False)",
        ),
    ] {
        let bytes = file_of(WriterProperties::default(), 0, schema, |_| {});
        assert_eq!(message(&bytes, None), expected);
    }
    let bytes = file_of(
        WriterProperties::default(),
        0,
        "REQUIRED INT32 t (DATE);",
        |_| {},
    );
    let error = message(&bytes, Some("t"));
    assert!(
        error.starts_with("column `t`: expected numbers or text, found dates"),
        "{error}"
    );
}

#[test]
fn tables_without_rows_columns_or_the_label_are_refused() {
    assert_eq!(
        message(&doubles(&[]), None),
        "table: expected rows, found none"
    );
    let expected =
        "table: expected a column of numbers, besides those of labels and ids, found none";
    assert_eq!(message(&doubles(&[Some(1.0)]), Some("x")), expected);
    assert_eq!(
        message(PANDAS, Some("sort")),
        "label column: expected one of the columns `length`, `petals`, `kind`, found `sort`"
    );
    let error = read(Path::new("no-such.parquet"), None, None).expect_err("no file");
    assert!(
        error.to_string().starts_with("no-such.parquet: "),
        "{error}"
    );
}

#[test]
fn an_encoding_that_is_not_read_is_named() {
    let properties =
        WriterProperties::builder().set_column_encoding("k".into(), Encoding::DELTA_BYTE_ARRAY);
    let properties = properties.set_dictionary_enabled(false).build();
    let bytes = file_of(
        properties,
        1,
        "REQUIRED FLOAT x; REQUIRED BYTE_ARRAY k (UTF8);",
        |group| {
            column::<FloatType>(group, &[Some(1.0)]);
            column::<ByteArrayType>(group, &[Some("a".into())]);
        },
    );
    assert_eq!(
        message(&bytes, Some("k")),
        "column `k`: expected text stored plainly or by a dictionary, found DELTA_BYTE_ARRAY (write it as pandas does by \
         default)"
    );
}

#[test]
fn a_compression_that_is_not_read_is_named_with_what_to_do() {
    let (snappy, zstd) = (2, 12);
    let codecs = (0..PANDAS.len()).filter(|&at| PANDAS[at] == snappy);
    let errors = codecs.filter_map(|at| {
        let mut bytes = PANDAS.to_vec();
        bytes[at] = zstd;
        read_bytes(&bytes, Some("kind")).err()
    });
    let expected = "column `length`: expected no compression, Snappy or gzip, found ZSTD (write the file with \
                    compression=\"snappy\")";
    let mut errors = errors.map(|error| error.to_string());
    assert!(errors.any(|error| error.ends_with(expected)));
}

#[test]
fn truncated_and_changed_files_give_an_error_or_a_table() {
    for length in 0..PANDAS.len() {
        assert!(
            read_bytes(&PANDAS[..length], Some("kind")).is_err(),
            "{length} bytes"
        );
    }
    for at in 0..PANDAS.len() {
        for byte in [0, 0x7f, 0x80, 0xff, PANDAS[at] ^ 1] {
            let mut bytes = PANDAS.to_vec();
            bytes[at] = byte;
            // A file that can still be read, for example with other digits in a number, is a table.
            let is_table = |table: Table| {
                let cells = table.rows * table.columns.len();
                table.values.len() == cells && table.values.iter().all(|value| value.is_finite())
            };
            assert!(
                read_bytes(&bytes, Some("kind")).map_or(true, is_table),
                "byte {at} as {byte}"
            );
        }
    }
}

#[test]
fn a_panic_of_the_decoder_becomes_its_message() {
    let error = quietly(|| panic!("{} is not {}", 1, 2)).map(|()| "no panic");
    assert_eq!(error, Err("1 is not 2".into()));
    assert_eq!(
        quietly(|| panic!("plain")).map(|()| ""),
        Err("plain".into())
    );
    assert!(!QUIET.get());
}

#[test]
fn a_dictionary_that_promises_more_than_it_holds_is_refused_before_memory_is_asked_for() {
    struct OnePage(Option<Page>);
    impl Iterator for OnePage {
        type Item = Result<Page, ParquetError>;
        fn next(&mut self) -> Option<Self::Item> {
            self.0.take().map(Ok)
        }
    }
    impl PageReader for OnePage {
        fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
            Ok(self.0.take())
        }
        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
            Ok(None)
        }
        fn skip_next_page(&mut self) -> Result<(), ParquetError> {
            Ok(())
        }
    }
    for (num_values, is_honest) in [(2, true), (3, false), (u32::MAX, false)] {
        let page = Page::DictionaryPage {
            buf: vec![0; 16].into(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let pages = Box::new(OnePage(Some(page)));
        let mut pages = HonestPages {
            pages,
            physical: Type::DOUBLE,
        };
        assert_eq!(
            pages.get_next_page().is_ok(),
            is_honest,
            "{num_values} values"
        );
    }
}

/// A file of images as `datasets` writes them: bytes, and no paths; labels 1, 0, 1.
fn image_file(images: &[Option<Vec<u8>>]) -> Vec<u8> {
    let metadata =
        r#"{"info": {"features": {"label": {"names": ["cat", "../dog"], "_type": "ClassLabel"}}}}"#;
    let entry =
        parquet::file::metadata::KeyValue::new("huggingface".to_owned(), metadata.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
    let schema = "OPTIONAL group image { OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); } OPTIONAL INT64 label;";
    file_of(properties.build(), 1, schema, |group| {
        for cells in [images.to_vec(), vec![None; images.len()]] {
            let levels: Vec<i16> = cells
                .iter()
                .map(|cell| 1 + i16::from(cell.is_some()))
                .collect();
            let values: Vec<_> = cells.into_iter().flatten().map(Into::into).collect();
            let mut column = group.next_column().expect("in memory").expect("a column");
            let written = column
                .typed::<ByteArrayType>()
                .write_batch(&values, Some(&levels), None);
            written.expect("in memory");
            column.close().expect("in memory");
        }
        column::<Int64Type>(group, &[Some(1), Some(0), Some(1)]);
    })
}

#[test]
fn images_are_unpacked_into_folders_of_their_classes() {
    let png = |shade: u8| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::GrayImage::from_pixel(3, 2, image::Luma([shade]));
        image
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("in memory");
        Some(bytes.into_inner())
    };
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("train-00000-of-00001.parquet");
    std::fs::write(&path, image_file(&[png(10), png(20), png(30)])).expect("writable");
    assert!(has_images(&path));
    let target = parent.path().join("unpacked");
    unpack(&path, None, &target).expect("a correct file");
    let listing = crate::folder::list(&target).expect("images");
    assert_eq!(listing.classes, ["_.._dog", "cat"]);
    assert_eq!(listing.labels, Some(vec![0, 0, 1]));
    let options = crate::folder::FolderOptions::default();
    let decoded = crate::folder::decode(&listing, &options, &|_| {}).expect("images");
    assert_eq!(decoded.pixels, [[10; 6], [30; 6], [20; 6]].concat());

    // What lies beside it, in folders too, is not read with it.
    for name in ["README.md", "cat/a.png", "cat/b.PNG", ".hidden"] {
        let path = parent.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(path, "").expect("writable");
    }
    std::fs::remove_dir_all(&target).expect("writable");
    let said = crate::folder::beside(
        parent.path(),
        std::slice::from_ref(&path),
        "Parquet files of images",
    )
    .expect("others");
    let expected = "3 files left out, which are not Parquet files of images: 1 .md, 2 .png";
    assert_eq!(said, expected);

    // A column that is asked for must be there, one that other data had need not.
    let refused = unpack(&path, Some(own("kind")), &target).expect_err("no such column");
    assert!(refused.to_string().contains("`label`"), "{refused}");
    std::fs::write(&path, image_file(&[png(10), None, png(30)])).expect("writable");
    let refused = unpack(&path, None, &target).expect_err("no image");
    assert!(
        refused
            .to_string()
            .contains("row 2, column `image.bytes`: expected the bytes of an image"),
        "{refused}"
    );
    std::fs::write(&path, doubles(&[Some(1.0)])).expect("writable");
    assert!(!has_images(&path));
}

#[test]
fn rows_and_images_beyond_what_the_file_may_unpack_to_are_refused() {
    // A repeated value is stored once, whatever the number of rows.
    let bytes = doubles(&[Some(0.5); 100_000]);
    assert!(bytes.len() < 2000, "{} bytes", bytes.len());
    let within = |most| {
        let file = Bytes::copy_from_slice(&bytes);
        Source(Path::new("x.parquet")).read_loudly(file, [None, None], most)
    };
    assert_eq!(within(400_000).expect("at the limit").rows, 100_000);
    let error = within(399_999).expect_err("a bomb");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(
        cause.to_string().contains("at most 399999 bytes"),
        "{cause}"
    );

    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("train.parquet");
    std::fs::write(
        &path,
        image_file(&[Some(vec![0]), Some(vec![0]), Some(vec![0])]),
    )
    .expect("writable");
    let unpack = |most| Source(&path).unpack(None, &parent.path().join("unpacked"), most);
    assert!(unpack(3 * 4097).is_ok());
    assert!(unpack(3 * 4097 - 1).is_err());
}

/// Found by `cargo fuzz run parquet`: two billion booleans in a field of the metadata that nobody knows, half a minute for 3 KB.
#[test]
fn a_list_without_end_is_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/endless_list.parquet");
    assert!(!has_images(&path));
    let error = read(&path, None, None).expect_err("a hostile file");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(
        cause.to_string().contains("expected at most 1024 booleans"),
        "{cause}"
    );
}
