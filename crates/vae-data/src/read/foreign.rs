//! Files of formats that are not read, known by their first bytes, and how to convert them.

use crate::DataError;

/// A format that is not read.
struct Format {
    /// Its first bytes, by version.
    magic: &'static [&'static [u8]],
    /// Its name.
    name: &'static str,
    /// Lines of Python that write an array of a file in it.
    python: &'static str,
}

const FORMATS: [Format; 10] = [
    Format {
        magic: &[b"MATLAB 7.3 MAT-file"],
        name: "a MATLAB 7.3 file",
        python: "import h5py, numpy; numpy.save('data.npy', h5py.File(FILE)['NAME'][:].T)",
    },
    Format {
        magic: &[b"MATLAB 5.0 MAT-file"],
        name: "a MATLAB file",
        python: "import scipy.io, numpy; numpy.save('data.npy', scipy.io.loadmat(FILE)['NAME'])",
    },
    Format {
        magic: &[b"\x89HDF\r\n\x1a\n"],
        name: "an HDF5 file",
        python: "import h5py, numpy; numpy.save('data.npy', h5py.File(FILE)['NAME'][:]), or of an h5ad file: import anndata; \
                 anndata.read_h5ad(FILE).to_df().to_csv('data.csv', index_label='id')",
    },
    Format {
        magic: &[b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"],
        name: "a Python pickle",
        python: "import pickle, numpy; numpy.save('data.npy', pickle.load(open(FILE, 'rb'))['NAME'])",
    },
    Format {
        magic: &[b"ARROW1"],
        name: "an Arrow file",
        python: "import pandas; pandas.read_feather(FILE).to_csv('data.csv', index=False)",
    },
    Format {
        magic: &[b"FEA1"],
        name: "a Feather file",
        python: "import pandas; pandas.read_feather(FILE).to_csv('data.csv', index=False)",
    },
    Format {
        magic: &[b"SQLite format 3"],
        name: "an SQLite database",
        python: "import pandas, sqlite3; pandas.read_sql('select * from NAME', sqlite3.connect(FILE)).to_csv('data.csv', index=False)",
    },
    Format {
        magic: &[b"\xd0\xcf\x11\xe0"],
        name: "an Excel file",
        python: "import pandas; pandas.read_excel(FILE).to_csv('data.csv', index=False)",
    },
    Format {
        magic: &[b"{"],
        name: "a JSON file",
        python: "import pandas; pandas.read_json(FILE, lines=True).to_csv('data.csv', index=False)",
    },
    Format {
        magic: &[b"["],
        name: "a JSON file",
        python: "import pandas; pandas.read_json(FILE).to_csv('data.csv', index=False)",
    },
];

/// The format of a file that begins with `start`, if it is one of these.
fn known(start: &[u8]) -> Option<&'static Format> {
    let begins = |magic: &&[u8]| start.starts_with(magic);
    FORMATS
        .iter()
        .find(|format| format.magic.iter().any(begins))
}

/// The error for a file that begins with `start`; `None` if its format is not known.
pub(super) fn refused(name: &str, start: &[u8]) -> Option<DataError> {
    known(start).map(|format| convertible(name, format.name, format.python))
}

/// The error for a zip without arrays and images, of which these are the `entries`.
pub(super) fn refused_zip(name: &str, entries: &[String]) -> DataError {
    let has = |ending: &str| {
        let mut names = entries.iter().map(|entry| entry.to_lowercase());
        names.any(|entry| entry.ends_with(ending))
    };
    if has("[content_types].xml") {
        let python = "import pandas; pandas.read_excel(FILE).to_csv('data.csv', index=False)";
        return convertible(name, "an Excel workbook", python);
    }
    if has("data.pkl") {
        let python =
            "import torch, numpy; numpy.save('data.npy', torch.load(FILE)['NAME'].numpy())";
        return convertible(name, "a file of PyTorch", python);
    }
    let first = entries.first().map_or("nothing", String::as_str);
    let what = format!("a zip without arrays (.npy) or images, with `{first}` in it");
    DataError::unfit(name, what)
}

/// The error for gzipped data that begin with `start`.
pub(super) fn refused_gzip(name: &str, start: &[u8]) -> DataError {
    let inner = match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "an NPY file",
        [b'P', b'K', 3, 4, ..] => "a zip",
        _ if start.get(257..262) == Some(b"ustar") => "a tar archive",
        _ => known(start).map_or("an unknown format", |format| format.name),
    };
    let what = format!(
        "{inner}, gzipped; unpack it with `gunzip` (only IDX, Matrix Market and tables are read gzipped)"
    );
    DataError::unfit(name, what)
}

fn convertible(name: &str, format: &str, python: &str) -> DataError {
    let whose = if python.contains("NAME") {
        " (with the name of your array for NAME)"
    } else {
        ""
    };
    let python = python.replace("FILE", &format!("{name:?}"));
    let what = format!("{format}, which is not read; convert it in Python{whose}: {python}");
    DataError::unfit(name, what)
}
