//! Schedules of the KL weight and the learning rate, and early stopping. They only compute numbers; the trainer applies
//! them.

mod kl;
mod learning_rate;
mod span;
mod stopping;

pub use kl::KlSchedule;
pub use learning_rate::{LrSchedule, Plateau};
pub use span::Span;
pub use stopping::{Stopping, StoppingState};

/// Implements the conversions that serde's `try_from` and `into` need for a type written as text.
macro_rules! written_as_text {
    ($($written:ty),+) => {$(
        impl From<$written> for String {
            fn from(written: $written) -> Self {
                written.to_string()
            }
        }

        impl TryFrom<String> for $written {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )+};
}

pub(crate) use written_as_text;

written_as_text!(KlSchedule, LrSchedule, Span, Stopping);

/// `text` up to its first colon, and the rest after it, if there is a colon.
fn split_first(text: &str) -> (&str, Option<&str>) {
    text.split_once(':')
        .map_or((text, None), |(first, rest)| (first, Some(rest)))
}

/// Parses a finite number above 0.
fn positive(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number > 0.0 && number.is_finite()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Recipe {
        kl: KlSchedule,
        lr: LrSchedule,
        stop: Stopping,
        warmup: Span,
    }

    const RECIPE: &str = r#"kl = "cyclical:4:2000steps"
lr = "steps:20,40:0.1"
stop = "10:0.5:20"
warmup = "2.5"
"#;

    #[test]
    fn a_recipe_in_toml_reads_and_writes_the_same_text() {
        let recipe: Recipe = toml::from_str(RECIPE).expect("well written");
        assert_eq!(toml::to_string(&recipe).expect("writes"), RECIPE);
        assert_eq!(recipe.warmup, Span::Epochs(2.5));
    }

    #[test]
    fn a_mistake_in_toml_is_set_with_an_example() {
        for (right, wrong, example) in [
            ("2000steps", "0steps", "2000steps"),
            ("20,40", "40,20", "steps:20,40:0.1"),
            ("10:0.5", "0:0.5", "10:0.5:20"),
        ] {
            let error = toml::from_str::<Recipe>(&RECIPE.replace(right, wrong));
            let error = error.expect_err("out of range").to_string();
            assert!(error.contains(wrong) && error.contains(example), "{error}");
        }
    }
}
