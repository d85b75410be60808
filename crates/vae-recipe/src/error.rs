//! Errors in recipes.

use std::io;
use std::path::PathBuf;

use vae_data::DataError;

/// Error from reading a recipe or matching it to its data.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The data cannot be read, or do not fit the recipe.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting is out of range or does not fit the data.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// Name of the setting as the user writes it.
        setting: &'static str,
        /// Allowed values.
        expected: String,
        /// Value found.
        found: String,
    },
    /// A config file does not parse.
    #[error("{path}: not a valid config{hint}")]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// Setting that an unknown one may have been meant to be, in words.
        hint: String,
        /// Parser error, with its position.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// An entry in the file of a sweep is wrong.
    #[error("{path}: {place}: expected {expected}, found {found}")]
    Sweep {
        /// Path of the file.
        path: PathBuf,
        /// The entry, such as `grid.latent`.
        place: String,
        /// Allowed values.
        expected: String,
        /// Value found.
        found: String,
    },
    /// A config file cannot be read.
    #[error("{path}: cannot be read")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: io::Error,
    },
}
