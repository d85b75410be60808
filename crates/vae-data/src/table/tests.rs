//! Valid and invalid tables.

use super::*;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

const COMMAS: TableOptions<'_> = TableOptions {
    usual: Separator::Comma,
    separator: None,
    decimal: None,
    header: Header::Auto,
    label: None,
    ids: None,
    inherited: Inherited {
        labels: false,
        array: false,
        ids: false,
    },
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
        ids: None,
        had_header: true,
        dialect: String::new(),
        notes: Vec::new(),
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
        "x.csv: line 1, column `1`: expected a number, found `a` (if it is the label, --labels 1; if a name of the row, --ids 1)"
    );
}

#[test]
fn a_first_row_with_a_text_label_is_not_lost_as_names() {
    assert_eq!(
        message("5.1,setosa\n4.9,setosa\n", &COMMAS),
        "x.csv: line 1, column `2`: expected a number, found `setosa` (if it is the label, --labels 2; if a name of the row, --ids 2)"
    );
    let error = message("1,?\n3,4\n", &COMMAS);
    assert!(error.starts_with("x.csv: line 1, column `2`: "), "{error}");
}

#[test]
fn byte_order_mark_quotes_spaces_crlf_and_tabs_are_read() {
    let tabs = TableOptions {
        usual: Separator::Tab,
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
        "x.csv: line 5, column `kind`: expected a number, found `x` (if it is the label, --labels kind; if a name of the row, --ids kind)"
    );
    assert_eq!(
        message("a,b\n1,2\n3\n", &COMMAS),
        "x.csv: line 3: expected 2 cells as in line 1, separated by commas (or as --separator says), found 1"
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
fn comments_above_a_table_are_skipped_and_may_have_its_names() {
    let read = table("# by hand, in 2026\n#\na,b\n1,2\n3,4\n", &COMMAS);
    assert_eq!(
        (read.columns, read.values),
        (vec!["a".into(), "b".into()], vec![1., 2., 3., 4.])
    );
    assert_eq!(
        read.notes,
        ["skipped: lines above the table that begin with #, 2 in all"]
    );
    // As NumPy's savetxt writes them.
    let read = table("# made by NumPy\n# a,b\n1,2\n3,4\n", &COMMAS);
    assert_eq!((read.columns, read.rows), (vec!["a".into(), "b".into()], 2));
    assert!(read.notes[0].ends_with("2 in all; the last of them has the names of the columns"));
    let no = TableOptions {
        header: Header::No,
        ..COMMAS
    };
    let read = table("# a,b\n1,2\n3,4\n", &no);
    assert_eq!((read.columns, read.rows), (vec!["1".into(), "2".into()], 2));
    // Lines keep their numbers, and a cell may begin so.
    let error = message("# one\n# two\na,b\n1,2\n3,x\n", &COMMAS);
    assert!(error.starts_with("x.csv: line 5, column `b`"), "{error}");
    let read = table(
        "name,a\n#1,2\n#2,3\n",
        &TableOptions {
            ids: Some("name"),
            ..COMMAS
        },
    );
    assert_eq!(read.ids.expect("ids"), ["#1", "#2"]);
}

#[test]
fn ids_and_labels_say_nothing_about_decimals() {
    let text = "id;a;kind\n1.5;0,25;1.0\n2.5;1,75;2.0\n";
    let options = TableOptions {
        ids: Some("id"),
        ..labelled("kind")
    };
    let read = table(text, &options);
    assert_eq!(read.values, [0.25, 1.75]);
    assert_eq!(read.ids.expect("ids"), ["1.5", "2.5"]);
    assert_eq!(read.labels.expect("labels"), ["1.0", "2.0"]);
}

#[test]
fn numbers_are_written_with_the_fewest_digits() {
    let mut text = Vec::new();
    let (columns, labels) = (["a".into(), "b,c".into()], ["x".into()]);
    let names = Some(&columns[..]);
    let labels: Option<TextColumn<'_>> = Some(("kind", &labels));
    write(&mut text, b',', 2, names, &[0.1, 1e-38], None, labels).expect("in memory");
    assert_eq!(text, b"a,\"b,c\",kind\n0.1,1e-38,x\n");
    text.clear();
    write(&mut text, b',', 2, None, &[0.1, 2.0], None, None).expect("in memory");
    assert_eq!(text, b"0.1,2.0\n");
    text.clear();
    write(&mut text, b',', 2, None, &[0.1, 2.0], labels, None).expect("in memory");
    assert_eq!(text, b"kind,1,2\nx,0.1,2.0\n");
    assert!(write(&mut text, b',', 2, names, &[0.1], None, None).is_err());
    assert!(write(&mut text, b',', 2, names, &[0.1; 4], None, labels).is_err());
    assert!(write(&mut text, b',', 2, names, &[0.1; 4], labels, None).is_err());
}

fn unusual(text: &str) -> (Vec<f32>, String) {
    let table = table(text, &COMMAS);
    (table.values, table.dialect)
}

#[test]
fn what_separates_cells_and_decimals_is_found() {
    let numbers = vec![1.5, 2.25, -3.0, 1e3];
    for (text, dialect) in [
        ("a,b\n1.5,2.25\n-3,1e3\n", ""),
        ("a;b\n1.5;2.25\n-3;1e3\n", ", separated by semicolons"),
        ("a|b\n1.5|2.25\n-3|1e3\n", ", separated by `|`"),
        ("a\tb\n1.5\t2.25\n-3\t1e3\n", ", separated by tabs"),
        ("a b\n1.5 2.25\n-3 1e3\n", ", separated by spaces"),
        (
            "  a    b\n  1.5  2.25 \n -3   1e3\n",
            ", separated by spaces",
        ),
        ("a, b\n1.5, 2.25\n-3, 1e3\n", ""),
        (
            "a;b\n1,5;2,25\n-3;1e3\n",
            ", separated by semicolons, with decimal commas",
        ),
        (
            "a\tb\r\n1,5\t2,25\r\n-3\t1e3\r\n",
            ", separated by tabs, with decimal commas",
        ),
        ("a,b\n\"1,5\",\"2,25\"\n-3,1e3\n", ", with decimal commas"),
    ] {
        assert_eq!(
            unusual(text),
            (numbers.clone(), dialect.to_owned()),
            "{text}"
        );
    }
    // Commas of labels separate nothing.
    let text = "a;b;kind\n1;2;x, y\n3;4;z, y\n";
    let labels = table(text, &labelled("kind")).labels.expect("labels");
    assert_eq!(labels, ["x, y", "z, y"]);
    // Nor do semicolons.
    let labels = table("1,2,x;y\n3,4,z;y\n", &labelled("3")).labels;
    assert_eq!(labels.expect("labels"), ["x;y", "z;y"]);
}

#[test]
fn commas_that_may_be_of_thousands_are_not_guessed_at() {
    let text = "a;b\n1,500;2\n3,250;4\n";
    let error = message(text, &COMMAS);
    assert!(
        error.contains("--decimal comma") && error.contains("`1,500`"),
        "{error}"
    );
    let decimal = TableOptions {
        decimal: Some(Decimal::Comma),
        ..COMMAS
    };
    assert_eq!(table(text, &decimal).values, [1.5, 2.0, 3.25, 4.0]);
    // No thousand has a zero before it.
    assert_eq!(unusual("a;b\n0,500;2\n3,250;4\n").0[0], 0.5);
    let error = message("a;b\n1,50;2\n3.25;4\n", &COMMAS);
    assert!(
        error.starts_with("x.csv: line 2, column `a`") && error.contains("--decimal comma"),
        "{error}"
    );
    let error = message("a;b\n1,50;2\n1.234,5;4\n", &COMMAS);
    assert!(
        error.starts_with("x.csv: line 3, column `a`") && error.contains("--decimal point"),
        "{error}"
    );
}

#[test]
fn the_wrong_line_is_blamed_and_not_the_names() {
    let error = message("a,b\nx,y\n1,2\n", &COMMAS);
    assert!(error.starts_with("x.csv: line 2, column `a`"), "{error}");
    let error = message("a;b;c\n1;2\n3;4\n", &COMMAS);
    assert!(
        error.starts_with("x.csv: line 2: expected 3 cells as in line 1, separated by semicolons"),
        "{error}"
    );
}

#[test]
fn an_index_is_no_feature_and_numbers_of_columns_are_no_sample() {
    let index = table(",a,b\n0,5,6\n1,7,8\n2,9,9\n", &COMMAS);
    assert_eq!(index.columns, ["a", "b"]);
    assert_eq!(index.values, [5.0, 6.0, 7.0, 8.0, 9.0, 9.0]);
    assert!(
        index.notes[0].contains("counts the rows"),
        "{:?}",
        index.notes
    );
    let named = table("n,a,b\n0,5,6\n1,7,8\n", &COMMAS);
    assert_eq!((named.columns.len(), named.notes.len()), (3, 0));
    let other = table(",a,b\n7,5,6\n9,7,8\n", &COMMAS);
    assert_eq!(other.columns, ["1", "a", "b"]);

    let counted = table("0,1,2\n5,6,7\n", &COMMAS);
    assert_eq!(
        (counted.rows, &counted.values[..]),
        (1, &[5.0, 6.0, 7.0][..])
    );
    assert!(
        counted.notes[0].contains("--header no"),
        "{:?}",
        counted.notes
    );
    let both = table(",0,1,2\n0,5,6,7\n1,8,9,9\n", &COMMAS);
    assert_eq!((both.columns.len(), both.notes.len()), (3, 2));
    let no = TableOptions {
        header: Header::No,
        ..COMMAS
    };
    assert_eq!(table("0,1,2\n5,6,7\n", &no).rows, 2);
}

#[test]
fn ids_are_carried_and_not_learned() {
    let ids = TableOptions {
        ids: Some("cell"),
        label: Some("kind"),
        ..COMMAS
    };
    let read = table("cell,a,kind,b\nAAAC-1,5,x,6\nAAAG-1,7,y,8\n", &ids);
    assert_eq!(read.columns, ["a", "b"]);
    assert_eq!(read.values, [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(read.ids.expect("ids"), ["AAAC-1", "AAAG-1"]);
    let first = TableOptions {
        ids: Some("1"),
        ..COMMAS
    };
    let read = table(",a,b\nAAAC-1,5,6\nAAAG-1,7,8\n", &first);
    assert_eq!(read.ids.expect("ids"), ["AAAC-1", "AAAG-1"]);
    let error = message(",a,b\nAAAC-1,5,6\n", &COMMAS);
    assert!(error.contains("--ids 1"), "{error}");
}

#[test]
fn lines_and_columns_without_end_are_refused() {
    let long = "1".repeat((16 << 20) + 1);
    let said = message(format!("1,2\n{long},2\n"), &COMMAS);
    assert!(
        said.starts_with("x.csv: line 2: expected at most 16777216 bytes in a line"),
        "{said}"
    );
    let wide = "1,".repeat(1 << 20) + "1\n";
    let said = message(wide.repeat(2), &COMMAS);
    assert!(
        said.contains("expected at most 1048576 columns; an NPY file may have more, found 1048577"),
        "{said}"
    );
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
        let usual = if tabs { Separator::Tab } else { Separator::Comma };
        let delimiter = usual.byte();

        let mut text = Vec::new();
        let ids: Vec<_> = (0..rows).map(|i| format!("{i}{name}i")).collect();
        let texts = [("id", &ids[..]), ("label", &labels[..])].map(Some);
        let names = Some(&columns[..]);
        write(&mut text, delimiter, width, names, &values, texts[0], texts[1]).expect("in memory");
        let options = TableOptions {
            usual, separator: Some(usual), ids: Some("id"), ..labelled("label")
        };
        let read = read(&text[..], "x.csv", &options).expect("a correct table");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&read.values), bits(&values));
        prop_assert_eq!((read.columns, read.rows), (columns, rows));
        prop_assert_eq!((read.labels, read.ids), (Some(labels), Some(ids)));
    }

    #[test]
    fn arbitrary_and_mutated_tables_never_panic(
        bytes in vec(any::<u8>(), 0..200), text in "[#a1.,\"\r\n\t ?é-]{0,60}",
        changes in vec((any::<usize>(), any::<u8>()), 1..5), separator in 0..6usize,
    ) {
        let mut valid = b"a,b,kind\r\n1,2,\"x\"\n\n3,4,y\r\n".to_vec();
        for (at, byte) in changes {
            let length = valid.len();
            valid[at % length] = byte;
        }
        use Separator::{Comma, Pipe, Semicolon, Space, Tab};
        let separator = [Comma, Pipe, Semicolon, Space, Tab].get(separator).copied();
        for header in [Header::Auto, Header::Yes, Header::No] {
            for label in [None, Some("kind"), Some("1"), Some("0")] {
                for ids in [None, Some("a"), Some("2")] {
                    let options = TableOptions { separator, header, label, ids, ..COMMAS };
                    for input in [&bytes[..], text.as_bytes(), &valid] {
                        let _ = read(input, "x.csv", &options);
                    }
                }
            }
        }
    }
}
