//! Stratified split into training and validation samples.

use vae_rng::{Generator, Stream};

use crate::{DataError, Images};

/// Splits off a random `fraction` of `images`, stratified by class and determined by `seed`; returns the rest first. Both
/// parts keep the original order.
///
/// # Errors
/// If one of the parts would be empty.
pub fn split(images: &Images, fraction: f64, seed: u64) -> Result<[Images; 2], DataError> {
    let generator = Generator::new(seed, Stream::Split);
    let count = images.count();
    let classes = images.classes().unwrap_or_else(|| vec![0; count]);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); images.class_names().len().max(1)];
    for (place, class) in (0..).zip(classes) {
        members[class as usize].push(place);
    }
    let mut is_chosen = vec![false; count];
    for (class, members) in (0..).zip(&members) {
        let order = generator.permutation(class, members.len() as u32);
        let share = (fraction * members.len() as f64).round() as usize;
        for &place in &order[..share] {
            is_chosen[members[place as usize] as usize] = true;
        }
    }
    let part = |wanted: bool| {
        let places = (0..count as u32).filter(|&place| is_chosen[place as usize] == wanted);
        images.subset(&places.collect::<Vec<_>>())
    };
    let parts = [false, true].map(part);
    if parts.iter().any(|part| part.count() == 0) {
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        let way_out = if count < 2 {
            "a split takes at least 2; `train` validates on other data with --val-data".to_owned()
        } else if largest < 2 {
            "each class has a single one; leave --labels out, or let `train` validate on other data with --val-data".to_owned()
        } else {
            format!(
                "a fraction of {:.2} validates on one of {largest}",
                1.0 / largest as f64
            )
        };
        let samples = if count == 1 { "sample" } else { "samples" };
        let what = format!(
            "{count} {samples}, of which a fraction of {fraction} leaves one side empty: {way_out}"
        );
        return Err(DataError::unfit("split", what));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Shape, digits};

    #[test]
    fn a_split_is_whole_disjoint_stratified_and_a_matter_of_the_seed() {
        let (train, _) = digits::read().expect("built in");
        let [rest, chosen] = split(&train, 0.1, 3).expect("two parts");
        let mut rows: Vec<u32> = rest.rows.iter().chain(&*chosen.rows).copied().collect();
        assert!(rest.rows.is_sorted() && chosen.rows.is_sorted());
        rows.sort_unstable();
        assert_eq!(rows, *train.rows);
        for class in 0..10 {
            let of = |images: &Images| {
                let classes = images.classes().expect("labels");
                classes.iter().filter(|&&found| found == class).count()
            };
            assert_eq!(of(&chosen), (0.1 * of(&train) as f64).round() as usize);
        }
        let again = |seed| split(&train, 0.1, seed).expect("two parts")[1].clone();
        assert_eq!(again(3).rows, chosen.rows);
        assert_ne!(again(4).rows, chosen.rows);
    }

    #[test]
    fn neither_side_is_empty() {
        let images = Images::from(Array::bytes(vec![0; 4], Shape::grey(1, 1)));
        assert!(split(&images, 0.01, 0).is_err());
        assert!(split(&images, 0.99, 0).is_err());
        assert!(split(&images, 0.25, 0).is_ok());
    }
}
