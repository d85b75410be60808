//! Settings that are a kind with an amount, written `kind:amount`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vae_spec::{FreeBits, FreeBitsPer, Prior};

use crate::Span;
use crate::schedule::written_as_text;

/// Prior as text: `normal`, `mixture:COMPONENTS` or `vamp:INPUTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PriorText {
    /// Standard normal prior.
    Normal,
    /// Learned mixture of this many normals.
    Mixture(usize),
    /// VampPrior with this many learned pseudo-inputs.
    Vamp(usize),
}

impl PriorText {
    /// The prior for the model config.
    #[must_use]
    pub const fn prior(self) -> Prior {
        match self {
            Self::Normal => Prior::Normal,
            Self::Mixture(components) => Prior::Mixture { components },
            Self::Vamp(inputs) => Prior::Vamp { inputs },
        }
    }
}

impl fmt::Display for PriorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Mixture(components) => write!(f, "mixture:{components}"),
            Self::Vamp(inputs) => write!(f, "vamp:{inputs}"),
        }
    }
}

impl FromStr for PriorText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            if text == "normal" {
                return Some(Self::Normal);
            }
            let (kind, count) = text.split_once(':')?;
            let count = count.parse().ok().filter(|&count| count > 0)?;
            match kind {
                "mixture" => Some(Self::Mixture(count)),
                "vamp" => Some(Self::Vamp(count)),
                _ => None,
            }
        };
        read().ok_or_else(|| {
            format!("expected normal, mixture:10 or vamp:100, for example, found `{text}`")
        })
    }
}

/// Free bits, `nats[:part[:when]]`: the minimum of each part of the KL term. A part is a `dimension` (the default), `group-4`
/// for groups of four dimensions, or the `total`; the minimum applies to the mean over a `batch` (the default) or per `image`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FreeBitsText(pub FreeBits);

impl fmt::Display for FreeBitsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FreeBits {
            nats,
            per,
            after_batch_mean,
        } = self.0;
        write!(f, "{nats}:")?;
        match per {
            FreeBitsPer::Dimension => f.write_str("dimension")?,
            FreeBitsPer::Group(size) => write!(f, "group-{size}")?,
            FreeBitsPer::Total => f.write_str("total")?,
        }
        f.write_str(if after_batch_mean { ":batch" } else { ":image" })
    }
}

impl FromStr for FreeBitsText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let mut parts = text.split(':');
            let nats = parts.next()?.parse().ok()?;
            let per = match parts.next() {
                None | Some("dimension") => FreeBitsPer::Dimension,
                Some("total") => FreeBitsPer::Total,
                Some(group) => {
                    let size = group.strip_prefix("group-")?.parse().ok();
                    FreeBitsPer::Group(size.filter(|&size| size > 0)?)
                }
            };
            let after_batch_mean = match parts.next() {
                None | Some("batch") => true,
                Some("image") => false,
                Some(_) => return None,
            };
            let is_good = f32::is_finite(nats) && nats > 0.0 && parts.next().is_none();
            is_good.then_some(Self(FreeBits {
                nats,
                per,
                after_batch_mean,
            }))
        };
        read().ok_or_else(|| {
            format!("expected 0.1, 0.5:group-4:image or 3:total:batch, for example, found `{text}`")
        })
    }
}

/// Target of the KL term under the objective `capacity`: `nats[:span]`, rising linearly from 0 over a span (by default half
/// the run).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capacity {
    /// Final target, nats.
    pub nats: f64,
    /// Span of the linear rise.
    pub span: Option<Span>,
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nats)?;
        self.span.map_or(Ok(()), |span| write!(f, ":{span}"))
    }
}

impl FromStr for Capacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (nats, span) = match text.split_once(':') {
            Some((nats, span)) => (nats, Some(span.parse()?)),
            None => (text, None),
        };
        let nats = nats
            .parse()
            .ok()
            .filter(|nats| *nats >= 0.0 && f64::is_finite(*nats));
        let nats =
            nats.ok_or_else(|| format!("expected 25 or 25:10, for example, found `{text}`"))?;
        Ok(Self { nats, span })
    }
}

written_as_text!(PriorText, FreeBitsText, Capacity);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = String> + fmt::Display>(good: &[(&str, &str)], wrong: &[&str]) {
        for (text, whole) in good {
            for text in [text, whole] {
                let read = text.parse::<T>().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(read.to_string(), *whole);
            }
        }
        for text in wrong {
            let error = text
                .parse::<T>()
                .err()
                .unwrap_or_else(|| panic!("{text} is wrong"));
            assert!(error.contains("found"), "{error}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_what_cannot_be_is_refused() {
        check::<PriorText>(
            &[
                ("normal", "normal"),
                ("mixture:10", "mixture:10"),
                ("vamp:500", "vamp:500"),
            ],
            &["", "vamp", "vamp:0", "mixture:-1", "normal:1", "flow:3"],
        );
        check::<FreeBitsText>(
            &[
                ("0.1", "0.1:dimension:batch"),
                ("0.5:group-4", "0.5:group-4:batch"),
                ("3:total:image", "3:total:image"),
            ],
            &[
                "",
                "0",
                "-1",
                "NaN",
                "1:group-0",
                "1:group",
                "1:total:mean",
                "1:total:batch:x",
            ],
        );
        check::<Capacity>(
            &[
                ("25", "25"),
                ("25:10", "25:10"),
                ("0:300steps", "0:300steps"),
            ],
            &["", "-1", "inf", "25:", "25:0"],
        );
    }
}
