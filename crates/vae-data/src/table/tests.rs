//! Valid and invalid tables.

use super::*;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

const COMMAS: TableOptions<'_> = TableOptions {
    delimiter: b',',
    header: Header::Auto,
    label: None,
};

fn labelled(label: &str) -> TableOptions<'_> {
    TableOptions {
        label: Some(label),
        ..COMMAS
    }
}

fn table(text: &str, options: &TableOptions<'_>) -> Table {
    read(text.as_bytes(), "x.csv", options).expect("a correct table")
}

fn message(text: impl AsRef<[u8]>, options: &TableOptions<'_>) -> String {
    let error = read(text.as_ref(), "x.csv", options);
    error.expect_err("a wrong table").to_string()
}

#[test]
fn names_and_labels_are_told_from_numbers() {
    let iris = table(
        "length,species,width\n5.1,setosa,3.5\n4.9,setosa,3\n",
        &labelled("species"),
    );
    let expected = Table {
        columns: vec!["length".into(), "width".into()],
        rows: 2,
        values: vec![5.1, 3.5, 4.9, 3.0],
        labels: Some(vec!["setosa".into(), "setosa".into()]),
        had_header: true,
    };
    assert_eq!(iris, expected);
    let bare = table("5.1,setosa,3.5\n4.9,setosa,3\n", &labelled("2"));
    let columns = vec!["1".into(), "3".into()];
    assert_eq!(
        bare,
        Table {
            columns,
            had_header: false,
            ..expected
        }
    );
    // The name of a label column is enough, even if all others are numbers.
    assert!(table("0,1,label\n5,6,cat\n", &labelled("label")).had_header);
    assert!(table("label,0,1\n7,5,6\n", &COMMAS).had_header);
    assert!(!table("1,2\n3,4\n", &COMMAS).had_header);
    let yes = TableOptions {
        header: Header::Yes,
        ..COMMAS
    };
    assert_eq!(table("1,2\n3,4\n", &yes).values, [3.0, 4.0]);
    let no = TableOptions {
        header: Header::No,
        ..COMMAS
    };
    assert_eq!(
        message("a,b\n3,4\n", &no),
        "x.csv: line 1, column `1`: expected a number, found `a` (if it is the label, --labels 1)"
    );
}

#[test]
fn a_first_row_with_a_text_label_is_not_lost_as_names() {
    assert_eq!(
        message("5.1,setosa\n4.9,setosa\n", &COMMAS),
        "x.csv: line 1, column `2`: expected a number, found `setosa` (if it is the label, --labels 2)"
    );
    let error = message("1,?\n3,4\n", &COMMAS);
    assert!(error.starts_with("x.csv: line 1, column `2`: "), "{error}");
}

#[test]
fn byte_order_mark_quotes_spaces_crlf_and_tabs_are_read() {
    let tabs = TableOptions {
        delimiter: b'\t',
        label: Some("kind, \"sort\""),
        ..COMMAS
    };
    let text = "\u{feff}a\t\"kind, \"\"sort\"\"\"\tb\r\n 1e-3 \t\"two\nlines\"\t+2.\r\n\r\n\"-3\"\té\t.5\r\n";
    let read = table(text, &tabs);
    assert_eq!(read.columns, ["a", "b"]);
    assert_eq!(read.values, [1e-3, 2.0, -3.0, 0.5]);
    assert_eq!(read.labels, Some(vec!["two\nlines".into(), "é".into()]));
}

#[test]
fn each_wrong_cell_is_named_by_the_line_that_an_editor_shows() {
    for missing in ["", " ", "NA", "NaN", "-nan", "null", "?"] {
        let error = message(format!("a,b\r\n\r\n1,2\r\n3,{missing}\r\n"), &COMMAS);
        assert!(
            error.starts_with("x.csv: line 4, column `b`: expected a "),
            "{error}"
        );
    }
    assert!(
        message("a\n1\n\"\"\n", &COMMAS)
            .contains("line 3, column `a`: expected a number, found nothing")
    );
    for infinite in ["inf", "-Infinity", "1e39"] {
        let error = message(format!("a,b\r1,2\r3,{infinite}"), &COMMAS);
        assert_eq!(
            error,
            format!(
                "x.csv: line 3, column `b`: expected a finite number of at most 3.4e38, found `{infinite}`"
            )
        );
    }
    assert_eq!(
        message("a,kind\n\n\"1\n\",2\n3,x\n", &COMMAS),
        "x.csv: line 5, column `kind`: expected a number, found `x` (if it is the label, --labels kind)"
    );
    assert_eq!(
        message("a,b\n1,2\n3\n", &COMMAS),
        "x.csv: line 3: expected 2 cells as in line 1, found 1"
    );
    assert_eq!(
        message("a,k\n1,x\n2,\n", &labelled("k")),
        "x.csv: line 3, column `k`: expected a label, found nothing"
    );
    assert_eq!(
        message(b"a,b\n1,2\n3,\xe9\n", &COMMAS),
        "x.csv: line 3: expected UTF-8 text, found the byte 0xe9 (save the file as UTF-8)"
    );
}

#[test]
fn tables_without_rows_columns_or_the_label_are_refused() {
    for empty in ["", "\u{feff}", "\r\n\n"] {
        let error = message(empty, &COMMAS);
        assert_eq!(
            error,
            "x.csv: table: expected rows of numbers, found an empty file"
        );
    }
    assert_eq!(
        message("a,b\n", &COMMAS),
        "x.csv: table: expected rows below the names, found none"
    );
    assert_eq!(
        message("a\n1\n", &labelled("a")),
        "x.csv: table: expected a column of numbers beside the labels, found none"
    );
    assert_eq!(
        message("a,b\n1,2\n", &labelled("c")),
        "x.csv: label column: expected one of the columns `a`, `b`, found `c`"
    );
    assert_eq!(
        message("1,2\n3,4\n", &labelled("3")),
        "x.csv: label column: expected a column's number, 1 to 2 (the table has no names), found `3`"
    );
    let names = (0..30)
        .map(|i| format!("x{i}"))
        .collect::<Vec<_>>()
        .join(",");
    let numbers = ["1"; 30].join(",");
    let error = message(format!("{names}\n{numbers}\n"), &labelled("y"));
    assert!(error.contains("`x19` and 10 more, found `y`"), "{error}");
}

#[test]
fn numbers_are_written_with_the_fewest_digits() {
    let mut text = Vec::new();
    let (columns, labels) = (["a".into(), "b,c".into()], ["x".into()]);
    let names = Some((&columns[..], "kind"));
    write(&mut text, b',', 2, names, &[0.1, 1e-38], Some(&labels)).expect("in memory");
    assert_eq!(text, b"a,\"b,c\",kind\n0.1,1e-38,x\n");
    text.clear();
    write(&mut text, b',', 2, None, &[0.1, 2.0], None).expect("in memory");
    assert_eq!(text, b"0.1,2.0\n");
    assert!(write(&mut text, b',', 2, names, &[0.1], None).is_err());
    assert!(write(&mut text, b',', 2, names, &[0.1; 4], Some(&labels)).is_err());
}

proptest! {
    #[test]
    fn written_tables_are_read_back(
        numbers in vec(any::<u32>(), 1..60), width in 1usize..4, tabs in any::<bool>(),
        label in "[a-z\",\t\n;é]{0,5}", name in "[a-z\",\t\r\n;é]{0,5}",
    ) {
        let finite = |bits| Some(f32::from_bits(bits)).filter(|value| value.is_finite()).unwrap_or(-0.0);
        let mut values: Vec<_> = numbers.into_iter().map(finite).collect();
        values.resize(values.len().next_multiple_of(width), 0.5);
        let rows = values.len() / width;
        let columns: Vec<_> = (0..width).map(|i| format!("x{name}{i}")).collect();
        let labels: Vec<_> = (0..rows).map(|i| format!("l{label}{i}")).collect();
        let delimiter = if tabs { b'\t' } else { b',' };

        let mut text = Vec::new();
        let names = Some((&columns[..], "label"));
        write(&mut text, delimiter, width, names, &values, Some(&labels)).expect("in memory");
        let options = TableOptions { delimiter, ..labelled("label") };
        let read = read(&text[..], "x.csv", &options).expect("a correct table");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&read.values), bits(&values));
        prop_assert_eq!((read.columns, read.rows, read.labels), (columns, rows, Some(labels)));
    }

    #[test]
    fn arbitrary_and_mutated_tables_never_panic(
        bytes in vec(any::<u8>(), 0..200), text in "[a1.,\"\r\n\t ?é-]{0,60}",
        changes in vec((any::<usize>(), any::<u8>()), 1..5), delimiter in any::<u8>(),
    ) {
        let mut valid = b"a,b,kind\r\n1,2,\"x\"\n\n3,4,y\r\n".to_vec();
        for (at, byte) in changes {
            let length = valid.len();
            valid[at % length] = byte;
        }
        for header in [Header::Auto, Header::Yes, Header::No] {
            for label in [None, Some("kind"), Some("1"), Some("0")] {
                for delimiter in [b',', delimiter] {
                    let options = TableOptions { delimiter, header, label };
                    for input in [&bytes[..], text.as_bytes(), &valid] {
                        let _ = read(input, "x.csv", &options);
                    }
                }
            }
        }
    }
}
