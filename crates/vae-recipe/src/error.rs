//! What is wrong with a recipe.

use std::io;
use std::path::PathBuf;

use vae_data::DataError;

/// Why a recipe cannot be read, or does not fit its data.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The data cannot be read, or do not fit.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting is out of range or does not fit the data.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting as the user writes it.
        setting: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A configuration file does not parse.
    #[error("{path}: not a valid config")]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A configuration file cannot be read.
    #[error("{path}: cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
}
