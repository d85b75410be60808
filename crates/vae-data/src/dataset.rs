//! A data set as a run uses it: its training, validation and test samples.

use sha2::{Digest, Sha256};

use crate::{Array, DataError, Images, Inherited, OnProgress, ReadOptions, Source, split};

/// Choice of the validation samples. If neither is set: the source's test samples, else a tenth of the training samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Fraction of the training samples to hold out.
    pub fraction: Option<f64>,
    /// Separate data source.
    pub data: Option<String>,
    /// Seed of the split.
    pub seed: u64,
}

/// Default validation fraction for a source without test samples.
const FRACTION: f64 = 0.1;

/// Training, validation and test samples; validation samples are never trained on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name given by the user: a known data set or a path.
    pub name: String,
    /// Format of the files, as detected.
    pub format: String,
    /// Training samples.
    pub train: Images,
    /// Validation samples.
    pub validation: Images,
    /// Description of where `validation` comes from.
    pub validated_on: String,
    /// Test samples, unused in training; `None` if the source has none or they are used for validation.
    pub test: Option<Images>,
    /// Notes about the files for the user.
    pub notes: Vec<String>,
    /// Hexadecimal SHA-256 over all arrays of the source and its validation data: equal if and only if the data are.
    pub fingerprint: String,
}

impl Dataset {
    /// Reads `name` and splits it into training and validation samples.
    ///
    /// # Errors
    /// If the data cannot be read, or training and validation data do not match.
    pub fn open(
        name: &str,
        options: &ReadOptions,
        validation: &Validation,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, DataError> {
        let source = Source::open(name, options, on_progress)?;
        let inherited = Inherited {
            labels: true,
            array: true,
            ids: true,
        };
        let other_options = ReadOptions {
            inherited,
            ..options.clone()
        };
        let other = validation.data.as_deref();
        let other = other.map(|other| Source::open(other, &other_options, on_progress));
        let other = other.transpose()?;
        Self::new(source, other, validation)
    }

    /// The built-in digits, with their 1,000 test images for validation.
    ///
    /// # Errors
    /// Never, unless the program file is corrupt.
    pub fn digits() -> Result<Self, DataError> {
        let nobody = |_: crate::Progress<'_>| {};
        Self::open(
            "digits",
            &ReadOptions::default(),
            &Validation::default(),
            &nobody,
        )
    }

    /// Samples that are in memory, called `name`, with others for validation or a part of them, as `choice` says.
    ///
    /// # Errors
    /// If training and validation samples do not match, or one of the two parts would be empty.
    pub fn of(
        name: &str,
        train: impl Into<Images>,
        validation: Option<Images>,
        choice: &Validation,
    ) -> Result<Self, DataError> {
        let source = Source::new(name, "in memory", train);
        let other = validation
            .map(|validation| Source::new("samples given for it", "in memory", validation));
        Self::new(source, other, choice)
    }

    /// The fingerprint of a single source.
    #[must_use]
    pub fn fingerprint_of(source: &Source) -> String {
        fingerprint(parts(source))
    }

    fn new(
        source: Source,
        other: Option<Source>,
        validation: &Validation,
    ) -> Result<Self, DataError> {
        let fingerprint = fingerprint(parts(&source).chain(other.iter().flat_map(parts)));
        let Source {
            name,
            format,
            train,
            validation: own,
            test,
            mut notes,
        } = source;
        if own.is_some() && (other.is_some() || validation.fraction.is_some()) {
            notes.push(
                "left out: the validation samples of the source, for others were asked for".into(),
            );
        }
        let (train, judged, validated_on, test) = match (other, validation.fraction, own, test) {
            (Some(other), _, _, test) => {
                let from = other.name.clone();
                (train, other.into_judged(), from, test)
            }
            (None, None, Some(own), test) => (train, own, "its validation samples".into(), test),
            (None, None, None, Some(test)) => (train, test, "its test samples".into(), None),
            (None, fraction, _, test) => {
                let fraction = fraction.unwrap_or(FRACTION);
                let [rest, chosen] = split(&train, fraction, validation.seed)?;
                let stratified = if train.array.labels.is_some() {
                    ", the same of each class"
                } else {
                    ""
                };
                let percent = |share: f64| {
                    let text = format!("{:.4}", 100.0 * share);
                    text.trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
                };
                let share = chosen.count() as f64 / train.count() as f64;
                let asked = percent(fraction);
                // Of a small class no other share can be taken.
                let share = if (share - fraction).abs() > FRACTION / 2.0 {
                    format!("{} of them where {asked} were asked for", percent(share))
                } else {
                    format!("{asked} of them")
                };
                (rest, chosen, share + stratified, test)
            }
        };
        let names = train.array.columns.clone().unwrap_or_default();
        let mut align = |images: Images, from: &str| -> Result<Images, DataError> {
            let (images, was_other) = images.aligned(&names, from)?;
            if was_other {
                notes.push(format!(
                    "{from}: columns put in the order of the training samples"
                ));
            }
            Ok(images)
        };
        let judged = align(judged, &validated_on)?;
        let test = test.map(|test| align(test, "test samples")).transpose()?;
        for other in [Some(&judged), test.as_ref()].into_iter().flatten() {
            if other.shape() != train.shape() {
                let what = format!(
                    "training samples of {} but validation or test samples of {}; with --size image files become the same",
                    train.shape(),
                    other.shape()
                );
                return Err(DataError::unfit(&name, what));
            }
        }
        let are_mixed = |other: &Images| {
            let [a, b] = [&train.array, &other.array];
            (a.is_deep || b.is_deep) && a.element != b.element
        };
        if are_mixed(&judged) || test.as_ref().is_some_and(are_mixed) {
            let what = "images of 16 bits among the training samples and of 8 among the validation or test samples, or the other \
                way round, have no common scale; --bits 8 takes the upper 8 bits of those of 16";
            return Err(DataError::unfit(&name, what));
        }
        Ok(Self {
            name,
            format,
            train,
            validation: judged,
            validated_on,
            test,
            notes,
            fingerprint,
        })
    }
}

/// The parts of a source that it has.
fn parts(source: &Source) -> impl Iterator<Item = &Images> {
    let more = [source.validation.as_ref(), source.test.as_ref()];
    [Some(&source.train)].into_iter().chain(more).flatten()
}

/// SHA-256 over shapes, values and labels.
fn fingerprint<'a>(parts: impl Iterator<Item = &'a Images>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let Array {
            pixels,
            element,
            shape,
            labels,
            ..
        } = &*part.array;
        let sizes = [shape.channels, shape.height, shape.width, element.size()];
        for size in [part.array.rows()].into_iter().chain(sizes) {
            hash.update((size as u64).to_le_bytes());
        }
        hash.update(pixels);
        if let Some(labels) = labels {
            hash.update(bytemuck::cast_slice::<u32, u8>(&labels.classes));
            hash.update(labels.names.join("\n"));
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Labels, Shape};

    fn source(name: &str, bytes: Vec<u8>) -> Source {
        let labels: Vec<i64> = bytes.iter().map(|&byte| i64::from(byte % 2)).collect();
        let train = Images::from(Array {
            labels: Some(Labels::of_integers(&labels)),
            ..Array::bytes(bytes, Shape::grey(1, 1))
        });
        Source {
            name: name.into(),
            format: "made up".into(),
            train,
            validation: None,
            test: None,
            notes: Vec::new(),
        }
    }

    fn values(images: &Images) -> HashSet<u8> {
        (0..images.count())
            .map(|place| images.bytes(place)[0])
            .collect()
    }

    #[test]
    fn samples_in_memory_are_a_data_set_with_others_or_a_part_of_them_for_validation() {
        let rows = |count: usize| Images::from(Array::bytes(vec![7; count * 4], Shape::grey(2, 2)));
        let counts = |train: usize, other: Option<usize>| {
            let choice = Validation {
                fraction: Some(0.25),
                ..Validation::default()
            };
            let dataset = Dataset::of("mine", rows(train), other.map(rows), &choice)?;
            Ok::<_, DataError>([dataset.train.count(), dataset.validation.count()])
        };
        assert_eq!(counts(20, None).expect("a part"), [15, 5]);
        assert_eq!(counts(20, Some(3)).expect("others"), [20, 3]);
        let error = counts(1, None).expect_err("one side empty").to_string();
        assert!(error.contains("1 sample"), "{error}");
    }

    #[test]
    fn what_is_validated_on_is_never_trained_on() {
        let all = || source("a", (0..100).collect());
        let tested = || Source {
            test: Some(source("b", (100..120).collect()).train),
            ..all()
        };
        let fraction = |fraction| Validation {
            fraction,
            ..Validation::default()
        };
        let open = |source, validation: Validation| {
            let other = validation
                .data
                .is_some()
                .then(|| self::source("c", (200..240).collect()));
            Dataset::new(source, other, &validation).expect("fits")
        };
        let other = Validation {
            data: Some("c".into()),
            ..Validation::default()
        };
        for (dataset, sizes, words) in [
            (
                open(all(), fraction(None)),
                [90, 10, 0],
                "10 % of them, the same of each class",
            ),
            (
                open(all(), fraction(Some(0.25))),
                [74, 26, 0],
                "25 % of them, the same of each class",
            ),
            (
                open(tested(), fraction(None)),
                [100, 20, 0],
                "its test samples",
            ),
            (
                open(tested(), fraction(Some(0.1))),
                [90, 10, 20],
                "10 % of them, the same of each class",
            ),
            (open(tested(), other.clone()), [100, 40, 20], "c"),
            (
                open(source("a", (0..4).collect()), fraction(Some(0.3))),
                [2, 2, 0],
                "50 % of them where 30 % were asked for, the same of each class",
            ),
        ] {
            let parts = [
                Some(&dataset.train),
                Some(&dataset.validation),
                dataset.test.as_ref(),
            ];
            let parts = parts.map(|part| part.map(values).unwrap_or_default());
            assert_eq!(parts.each_ref().map(HashSet::len), sizes);
            assert!(parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]));
            assert!(parts[1].is_disjoint(&parts[2]));
            assert_eq!(dataset.validated_on, words);
        }
    }

    #[test]
    fn the_fingerprint_changes_with_any_byte_label_or_validation_data() {
        let open = |source, other| {
            Dataset::new(source, other, &Validation::default())
                .expect("fits")
                .fingerprint
        };
        let plain = || source("a", (0..100).collect());
        let mut relabelled = plain();
        let mut array = (*relabelled.train.array).clone();
        array.labels.as_mut().expect("labels").classes[99] ^= 1;
        relabelled.train = Images::from(array);
        let prints = [
            open(plain(), None),
            open(source("a", (1..101).collect()), None),
            open(relabelled, None),
            open(plain(), Some(source("b", (0..10).collect()))),
        ];
        assert_eq!(open(source("renamed", (0..100).collect()), None), prints[0]);
        assert_eq!(prints.iter().collect::<HashSet<_>>().len(), prints.len());
        assert!(prints.iter().all(|print| print.len() == 64));
    }

    #[test]
    fn parts_of_different_shapes_are_refused() {
        let mut tested = source("a", (0..100).collect());
        tested.test = Some(Images::from(Array::bytes(vec![0; 8], Shape::grey(2, 2))));
        let error = Dataset::new(tested, None, &Validation::default()).expect_err("mixed");
        assert!(
            error
                .to_string()
                .contains("1 columns but validation or test samples of 2 x 2"),
            "{error}"
        );
    }
}
