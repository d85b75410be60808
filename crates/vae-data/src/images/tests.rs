//! Views of samples, in memory and mapped.

use super::*;
use crate::digits;

#[test]
fn gathering_scales_bytes_and_follows_the_rows_of_the_view() {
    let array = Array::bytes(vec![0, 51, 255, 102, 1, 2], Shape::grey(1, 2));
    let images = Images::from(array);
    assert_eq!(images.gather(&[1, 0]), [1.0, 0.4, 0.0, 0.2]);
    let view = images.subset(&[1]);
    assert_eq!((view.count(), view.gather(&[0])), (1, vec![1.0, 0.4]));
    assert_eq!(view.id(0), "1");
}

#[test]
fn floats_stay_what_they_are() {
    let values = vec![0.5, -3.0, f32::MIN_POSITIVE, 7.25];
    let images = Images::from(Array::floats(values.clone(), Shape::grey(1, 2)));
    assert_eq!(images.gather(&[0, 1]), values);
    assert_eq!(images.range().expect("finite"), [-3.0, 7.25]);
    let bad = images.with_values(vec![0.0, 1.0, 2.0, f32::NAN]);
    let error = bad.range().expect_err("NaN").to_string();
    assert!(error.contains("sample 1, value 1"), "{error}");
}

#[test]
fn labels_are_in_the_order_of_numbers_and_of_the_alphabet() {
    let labels = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Labels::of(&names)
    };
    let numbers = labels(&["10", "9", "10", "-1"]);
    assert_eq!(
        (numbers.names, numbers.classes),
        (vec!["-1".into(), "9".into(), "10".into()], vec![2, 1, 2, 0])
    );
    assert_eq!(labels(&["dog", "cat", "2"]).names, ["2", "cat", "dog"]);
    assert_eq!(Labels::of_integers(&[7, 3, 7]).names, ["3", "7"]);
}

#[test]
fn binarized_images_are_black_and_white_and_as_bright_as_before() {
    let (_, digits) = digits::read().expect("built in");
    let generator = |seed| Generator::new(seed, vae_rng::Stream::Binarization);
    let mean = |images: &Images| {
        let mut sum = 0.0;
        images.each(|_, values| sum += values.iter().map(|&x| f64::from(x)).sum::<f64>());
        sum / (images.count() * images.image_length()) as f64
    };
    let floats = digits.with_values(digits.gather(&(0..1000).collect::<Vec<_>>()));
    for images in [&digits, &floats] {
        let binarized = images.binarized(generator(1));
        binarized.each(|_, values| assert!(values.iter().all(|&x| x == 0.0 || x == 1.0)));
        // 784,000 draws of a standard deviation below one half: the bound is five standard deviations of their mean.
        assert!((mean(&binarized) - mean(images)).abs() < 0.003);
        assert_eq!(binarized, images.binarized(generator(1)));
        assert_ne!(binarized, images.binarized(generator(2)));
        assert_eq!(binarized.classes(), images.classes());
        let white = images.thresholded();
        white.each(|_, values| assert!(values.iter().all(|&x| x == 0.0 || x == 1.0)));
    }
}
