//! `--corrupt`: input corruption for denoising models.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vae_data::Shape;
use vae_spec::Corruption;

use crate::RecipeError;
use crate::schedule::written_as_text;

/// Kind and amount of corruption, written `kind:amount`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Corrupt {
    /// Additive Gaussian noise of this standard deviation.
    Gaussian(f64),
    /// Salt-and-pepper noise: each value becomes 0 or 1, equally often, with this probability.
    SaltPepper(f64),
    /// A black square of this side, in pixels.
    Mask(u32),
}

impl Corrupt {
    /// The corruption of images of `shape`; with `is_byte`, corrupted values stay within [0, 1].
    ///
    /// # Errors
    /// If the amount is out of range.
    pub fn on(self, shape: Shape, is_byte: bool) -> Result<Corruption, RecipeError> {
        let wrong = |expected: String| {
            Err(RecipeError::Setting {
                setting: "corrupt",
                expected,
                found: self.to_string(),
            })
        };
        let Shape { height, width, .. } = shape;
        match self {
            Self::Gaussian(sigma) if sigma > 0.0 && (sigma as f32).is_finite() => {
                Ok(Corruption::Gaussian {
                    sigma: sigma as f32,
                    clamp: is_byte,
                })
            }
            Self::Gaussian(_) => wrong("gaussian of more than 0".into()),
            Self::SaltPepper(share) if share > 0.0 && share <= 1.0 => Ok(Corruption::SaltPepper {
                probability: share as f32,
            }),
            Self::SaltPepper(_) => wrong("salt-pepper of more than 0 and at most 1".into()),
            Self::Mask(side) if side > 0 && side as usize <= height.min(width) => {
                Ok(Corruption::Mask {
                    side,
                    height: height as u32,
                    width: width as u32,
                })
            }
            Self::Mask(_) => wrong(format!("mask of 1 to {} in {shape}", height.min(width))),
        }
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gaussian(sigma) => write!(f, "gaussian:{sigma}"),
            Self::SaltPepper(share) => write!(f, "salt-pepper:{share}"),
            Self::Mask(side) => write!(f, "mask:{side}"),
        }
    }
}

written_as_text!(Corrupt);

impl FromStr for Corrupt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("expected gaussian:0.3, salt-pepper:0.2 or mask:8, for example, found `{text}`")
        };
        let (kind, amount) = text.split_once(':').ok_or_else(wrong)?;
        let number = || amount.parse::<f64>().map_err(|_| wrong());
        match kind {
            "gaussian" => Ok(Self::Gaussian(number()?)),
            "salt-pepper" => Ok(Self::SaltPepper(number()?)),
            "mask" => Ok(Self::Mask(amount.parse().map_err(|_| wrong())?)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_what_cannot_be_is_refused() {
        for text in ["gaussian:0.3", "salt-pepper:0.2", "mask:8"] {
            let corrupt: Corrupt = text.parse().expect("well written");
            assert_eq!(corrupt.to_string(), text);
            assert!(corrupt.on(Shape::grey(28, 28), true).is_ok());
        }
        for text in ["gaussian", "mask:0.5", "blur:3", "gaussian:x"] {
            assert!(text.parse::<Corrupt>().is_err(), "{text}");
        }
        for text in [
            "gaussian:0",
            "gaussian:NaN",
            "salt-pepper:1.1",
            "mask:29",
            "mask:0",
        ] {
            let corrupt: Corrupt = text.parse().expect("well written");
            let error = corrupt
                .on(Shape::grey(28, 28), true)
                .expect_err("out of range");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
