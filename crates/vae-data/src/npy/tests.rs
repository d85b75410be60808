//! Files byte for byte as NumPy writes them, and corrupt ones.

use super::header::MAGIC;
use super::*;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::io::Cursor;

// Written by numpy.save of NumPy 2.4, byte for byte.
/// `np.array([[1, 2, 3], [4, 5, 6.5]], '<f4')`
const F4: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }                                                          \n\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@\x00\x00\xd0@";
/// `np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], '>i2'))`
const FORTRAN_I2: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }                                                           \n\x00\x01\x00\x04\x00\x02\x00\x05\x00\x03\x00\x06";
/// `np.array([True, False])`
const B1: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }                                                            \n\x01\x00";
/// `np.array([[1.5]])`
const F8: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }                                                          \n\x00\x00\x00\x00\x00\x00\xf8?";
/// `np.savez_compressed(file, x=np.array([[1, 2], [3, 250]], 'u1'), y=np.array([7, -1]))`
const SAVEZ: &str = "504b03042d00000008000000210099805db1ffffffffffffffff05001400782e6e70790100100084000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0a469a3a0ab50a64032e4626e65f00504b03042d000000080000002100e092cebcffffffffffffffff05001400792e6e70790100100090000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e760608f80f0500504b01022d032d00000008000000210099805db14a00000084000000050000000000000000000000800100000000782e6e7079504b01022d032d000000080000002100e092cebc4a00000090000000050000000000000000000000800181000000792e6e7079504b0506000000000200020066000000020100000000";

fn array(shape: &[usize], values: NpyValues) -> NpyArray {
    NpyArray {
        shape: shape.to_vec(),
        values,
    }
}

fn savez() -> Vec<u8> {
    (0..SAVEZ.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&SAVEZ[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

/// A file of the given version with this text as its header.
fn file(version: u8, text: &str, data: &[u8]) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    let length = &length[..if version == 1 { 2 } else { 4 }];
    [MAGIC, &[version, 0], length, text.as_bytes(), data].concat()
}

fn with_header(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}       \n");
    file(1, &text, data)
}

fn integers(descr: &str, shape: &str, data: &[u8]) -> Vec<i64> {
    match read(&with_header(descr, shape, data)[..], "x").map(|array| array.values) {
        Ok(NpyValues::Integers(values)) => values,
        other => panic!("{descr}: {other:?}"),
    }
}

fn message(file: &[u8]) -> String {
    read(file, "x.npy").expect_err("a wrong file").to_string()
}

#[test]
fn what_numpy_wrote_is_read() {
    let read = |file| read(file, "x").expect("a correct file");
    let f4 = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5];
    assert_eq!(read(F4), array(&[2, 3], NpyValues::F32(f4)));
    let i2 = NpyValues::Integers(vec![1, 2, 3, 4, 5, 6]);
    assert_eq!(read(FORTRAN_I2), array(&[2, 3], i2));
    assert_eq!(read(B1), array(&[2], NpyValues::U8(vec![1, 0])));
    assert_eq!(read(F8), array(&[1, 1], NpyValues::F32(vec![1.5])));
    let header = read_header(&mut &*FORTRAN_I2, "x").expect("a correct header");
    assert!(header.big_endian && header.fortran_order && header.data_offset == 128);
    assert_eq!((header.element, header.length()), (NpyElement::I16, 6));

    let mut npz = Npz::new(Cursor::new(savez()), "x.npz").expect("a zip");
    assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "y"]);
    let x = array(&[2, 2], NpyValues::U8(vec![1, 2, 3, 250]));
    assert_eq!(npz.read("x").expect("x"), x);
    let y = array(&[2], NpyValues::Integers(vec![7, -1]));
    assert_eq!(npz.read("y").expect("y"), y);
    let error = npz.read("z").expect_err("no z").to_string();
    assert_eq!(
        error,
        "x.npz: array `z`: expected one of x, y, found none of that name"
    );
}

#[test]
fn what_is_written_is_what_numpy_writes() {
    let mut written = Vec::new();
    write_f32(&mut written, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]).expect("in memory");
    assert_eq!(written, F4);
    assert_eq!(header_bytes("|b1", &[2]), B1[..128]);
    for rows in [1, 12_345, usize::MAX] {
        assert_eq!(header_bytes("<f4", &[rows, 28, 28]).len(), 128);
    }
    let error = write_u8(&mut written, &[2, 2], &[1]).expect_err("three short");
    assert_eq!(error.to_string(), "1 values for the shape [2, 2]");
}

#[test]
fn integers_of_every_width_and_order_keep_their_values() {
    assert_eq!(integers("'|i1'", "(2,)", &[0xff, 1]), [-1, 1]);
    assert_eq!(integers("'<u2'", "(1,)", &[1, 2]), [0x201]);
    assert_eq!(integers("'>u2'", "(1,)", &[1, 2]), [0x102]);
    assert_eq!(integers("'<i4'", "(1,)", &[0xfe, 255, 255, 255]), [-2]);
    assert_eq!(
        integers("'>u4'", "(1,)", &[255, 255, 255, 255]),
        [0xffff_ffff]
    );
    assert_eq!(integers("'>i8'", "(1,)", &(-5i64).to_be_bytes()), [-5]);
    assert_eq!(integers("\"<u8\"", "(1)", &9u64.to_le_bytes()), [9]);
    let error = message(&with_header("'<u8'", "(1,)", &[255; 8]));
    assert!(error.contains("at most 9223372036854775807"), "{error}");
}

#[test]
fn halves_and_texts_are_read_and_too_large_floats_are_said_to_be_that() {
    let values = |descr: &str, data: &[u8]| {
        let file = with_header(descr, "(2,)", data);
        read(&file[..], "x").expect(descr).values
    };
    let halves = NpyValues::F32(vec![1.5, -65_504.0]);
    assert_eq!(values("'<f2'", &[0, 0x3e, 0xff, 0xfb]), halves);
    assert_eq!(values("'>f2'", &[0x3e, 0, 0xfb, 0xff]), halves);
    let texts = |first: &str, second: &str| NpyValues::Text(vec![first.into(), second.into()]);
    assert_eq!(values("'|S3'", b"cat\xe9\0\0"), texts("cat", "é"));
    let unicode = "ö\0né".chars().map(u32::from);
    let little: Vec<u8> = unicode.clone().flat_map(u32::to_le_bytes).collect();
    assert_eq!(values("'<U2'", &little), texts("ö", "né"));
    let big: Vec<u8> = unicode.flat_map(u32::to_be_bytes).collect();
    assert_eq!(values("'>U2'", &big), texts("ö", "né"));
    assert_eq!(
        message(&with_header("'<f8'", "(1,)", &1e39f64.to_le_bytes())),
        "x.npy: data: expected numbers up to 3.4028235e38, the largest of 32 bits, found 1e39"
    );
}

#[test]
fn fortran_order_is_transposed_in_three_dimensions() {
    // np.asfortranarray(np.arange(24).reshape(2, 3, 4)) has a[i, j, k] = 12 i + 4 j + k at i + 2 j + 6 k.
    let at = |f: u8| 12 * (f % 2) + 4 * (f / 2 % 3) + f / 6;
    let data: Vec<_> = (0..24).map(at).collect();
    let text = "{'shape': (2, 3, 4), 'fortran_order': True, 'descr': '|u1'}";
    for version in [1, 2, 3] {
        let array = read(&file(version, text, &data)[..], "x").expect("a correct file");
        assert_eq!(array.values, NpyValues::U8((0..24).collect()));
    }
}

#[test]
fn each_wrong_part_is_named() {
    let with = |index: usize, byte: u8| {
        let mut file = F4.to_vec();
        file[index] = byte;
        message(&file)
    };
    assert!(with(0, 0).starts_with("x.npy: magic number: expected an NPY file, "));
    assert_eq!(
        with(6, 4),
        "x.npy: version: expected 1.0, 2.0 or 3.0, found 4.0"
    );
    assert!(with(10, b'[').starts_with("x.npy: header: expected a dictionary with 'descr'"));
    assert_eq!(
        message(&file(2, &" ".repeat(70_000), &[])),
        "x.npy: header length: expected at most 65536 bytes, found 70000"
    );
    assert_eq!(
        message(&F4[..F4.len() - 1]),
        "x.npy: data: expected 24 bytes for the shape [2, 3], found 23 (truncated?)"
    );
    assert_eq!(
        message(&[F4, b"!"].concat()),
        "x.npy: data: expected 24 bytes for the shape [2, 3], found more than that"
    );
    let objects = message(&with_header("'|O'", "(2,)", b"\x80\x04"));
    assert!(
        objects.contains("found `|O`, Python objects (convert it in NumPy: "),
        "{objects}"
    );
    for descr in ["'<f16'", "'<c8'", "'<U0'", "'|U5'", "'|f4'", "'é'", "''"] {
        let error = message(&with_header(descr, "(2,)", &[0; 64]));
        assert!(
            error.starts_with("x.npy: dtype: expected |u1"),
            "{descr}: {error}"
        );
        assert!(error.contains("array.astype('float32')"), "{descr}");
    }
    let fields = message(&with_header("[('a', '<f4'), ('b', '<f4')]", "(2,)", &[]));
    assert!(
        fields.contains("found `[('a', '<f4'), ('b', '<f4')]`"),
        "{fields}"
    );
    for shape in ["()", "(0,)", "(3, 0)"] {
        let error = message(&with_header("'<f4'", shape, &[]));
        assert!(error.contains("sizes above zero"), "{shape}: {error}");
    }
    for length in 0..F4.len() {
        assert!(read(&F4[..length], "x").is_err(), "{length} bytes");
    }
}

#[test]
fn a_header_that_promises_the_world_costs_no_memory() {
    let error = message(&with_header("'<f4'", "(4000000000, 1000000)", &[1; 64]));
    assert_eq!(
        error,
        "x.npy: data: expected 16000000000000000 bytes for the shape [4000000000, 1000000], found 64 (truncated?)"
    );
    for shape in [
        "(4294967296, 4294967296)",
        "(9223372036854775807,)",
        "(99999999999999999999, 1)",
    ] {
        let error = message(&with_header("'<f4'", shape, &[1; 64]));
        assert!(error.contains("a size that fits in memory"), "{error}");
    }
}

#[test]
fn a_damaged_zip_is_refused_by_its_checksum() {
    let mut file = Vec::new();
    let values = NpyArrayRef::U8(&[300], &[7; 300]);
    write_npz(Cursor::new(&mut file), &[("x", values)]).expect("in memory");
    // The checksum, both in the local header and in the directory.
    let directory = file.windows(4).position(|at| at == b"PK\x01\x02");
    let checksum = directory.expect("a directory") + 16;
    file[checksum] ^= 1;
    let mut npz = Npz::new(Cursor::new(file), "x.npz").expect("a zip");
    let error = npz.read("x").expect_err("a wrong checksum").to_string();
    assert!(error.contains("x.npz: x.npy: cannot be read"), "{error}");
}

proptest! {
    #[test]
    fn written_arrays_are_read_back(
        floats in vec(any::<u32>(), 1..50), bytes in vec(any::<u8>(), 1..50), integers in vec(any::<i64>(), 1..50),
        texts in vec("[a-zé€😀 ]{0,9}", 1..9),
    ) {
        let floats: Vec<_> = floats.into_iter().map(f32::from_bits).collect();
        let mut file = Vec::new();
        let arrays = [
            ("f", NpyArrayRef::F32(&[floats.len(), 1], &floats)),
            ("b", NpyArrayRef::U8(&[1, bytes.len()], &bytes)),
            ("i", NpyArrayRef::I64(&[integers.len()], &integers)),
            ("t", NpyArrayRef::Text(&[texts.len()], &texts)),
        ];
        write_npz(Cursor::new(&mut file), &arrays).expect("in memory");
        let mut npz = Npz::new(Cursor::new(file), "x.npz").expect("a zip");
        let f = npz.read("f").expect("f");
        prop_assert_eq!(f.shape, [floats.len(), 1]);
        let NpyValues::F32(read) = f.values else { panic!("not floats") };
        // Bit for bit: NaN is not equal to itself.
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(bits(read), bits(floats));
        prop_assert_eq!(npz.read("b").expect("b"), array(&[1, bytes.len()], NpyValues::U8(bytes)));
        prop_assert_eq!(npz.read("i").expect("i"), array(&[integers.len()], NpyValues::Integers(integers)));
        prop_assert_eq!(npz.read("t").expect("t"), array(&[texts.len()], NpyValues::Text(texts)));
    }

    #[test]
    fn arbitrary_and_mutated_files_never_panic(
        bytes in vec(any::<u8>(), 0..300),
        text in "\\{('descr': '[<>|][uifbO][1248]',? ?|'shape': \\([0-9]{0,3},? ?[0-9]{0,21}\\),? ?|'fortran_order': (True|False),? ?){0,4}\\}",
        changes in vec((any::<usize>(), any::<u8>()), 1..5),
    ) {
        let _ = read(&bytes[..], "x");
        let _ = read(&[MAGIC, &[1, 0], &bytes[..]].concat()[..], "x");
        let _ = read(&file(1, &text, &bytes)[..], "x");
        if let Ok(mut npz) = Npz::new(Cursor::new(&bytes), "x") {
            let _ = npz.read("x");
        }
        for original in [F4, FORTRAN_I2, B1, F8] {
            let mut file = original.to_vec();
            for &(at, byte) in &changes {
                let length = file.len();
                file[at % length] = byte;
            }
            let _ = read(&file[..], "x");
            file.truncate(changes[0].0 % file.len());
            let _ = read(&file[..], "x");
        }
        let mut file = savez();
        for &(at, byte) in &changes {
            let length = file.len();
            file[at % length] = byte;
        }
        if let Ok(mut npz) = Npz::new(Cursor::new(file), "x") {
            let names: Vec<_> = npz.names().map(str::to_owned).collect();
            for name in names {
                let _ = npz.read(&name);
            }
        }
    }
}
