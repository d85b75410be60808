//! Against the values of scikit-image and scikit-learn in `assets/goldens/metrics.txt`.

use vae_data::Shape;

use super::probes::Labelled;
use super::*;

fn golden(name: &str) -> Vec<f64> {
    let lines = include_str!("../../../../assets/goldens/metrics.txt").lines();
    let mut lines = lines.filter_map(|line| line.split_once(": "));
    let (_, values) = lines.find(|(found, _)| *found == name).expect(name);
    let values = values.split(' ').map(str::parse::<f64>);
    values.collect::<Result<_, _>>().expect("numbers")
}

fn floats(name: &str) -> Vec<f32> {
    golden(name).into_iter().map(|x| x as f32).collect()
}

fn classes(name: &str) -> Vec<u32> {
    golden(name).into_iter().map(|x| x as u32).collect()
}

fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-6 * (1.0 + expected.abs())
}

#[test]
fn images_are_as_alike_as_scikit_image_says() {
    for (name, channels, height, width) in [("grey", 1, 9, 11), ("colour", 3, 8, 7)] {
        let shape = Shape {
            channels,
            height,
            width,
        };
        let [images, restored] =
            ["images", "restored"].map(|what| floats(&format!("{name} {what}")));
        let expected = ["mse", "psnr", "ssim"].map(|what| golden(&format!("{name} {what}")));
        let length = shape.length();
        for (index, (a, b)) in images
            .chunks(length)
            .zip(restored.chunks(length))
            .enumerate()
        {
            let found = similarity(a, b, shape);
            let [mse, psnr, ssim] = [&expected[0], &expected[1], &expected[2]].map(|of| of[index]);
            assert!(
                is_close(found.mse, mse) && is_close(found.psnr, psnr),
                "{name}: {found:?}"
            );
            let found = found.ssim.expect("large enough");
            assert!(is_close(found, ssim), "{name}: {found}, not {ssim}");
            // An image is itself, and not like its negative.
            assert!(is_close(
                similarity(a, a, shape).ssim.expect("large enough"),
                1.0
            ));
            let negative: Vec<f32> = a.iter().map(|x| 1.0 - x).collect();
            assert!(similarity(a, &negative, shape).ssim.expect("large enough") < 0.0);
        }
    }
    let small = Shape::grey(6, 30);
    assert_eq!(similarity(&[0.0; 180], &[0.5; 180], small).ssim, None);
}

#[test]
fn labels_are_told_as_well_as_by_scikit_learn() {
    let [train, test] = ["train", "test"].map(|part| {
        (
            floats(&format!("{part} latents")),
            classes(&format!("{part} classes")),
        )
    });
    let labelled = |(mu, classes)| Labelled { mu, classes };
    let probes = Probes::of(
        labelled((&train.0, &train.1)),
        labelled((&test.0, &test.1)),
        4,
        3,
    );
    assert_eq!(probes.knn_accuracy, golden("knn")[0]);
    assert_eq!(probes.linear_accuracy, golden("linear probe")[0]);
    let loss = golden("linear probe loss")[0];
    assert!(is_close(probes.linear_loss, loss), "{probes:?}, not {loss}");
    // The fourth dimension is noise forty times as wide: neighbours are lost in it, a standardised regression is not.
    assert!(probes.linear_accuracy > probes.knn_accuracy);
}

#[test]
fn factors_are_as_far_apart_as_by_scikit_learn() {
    let factors = Factors {
        values: floats("factors"),
        count: 3,
    };
    let found = Disentanglement::of(&floats("latents"), 5, &factors);
    for (name, found) in [
        ("mig", found.mig),
        ("sap", found.sap),
        ("disentanglement", found.disentanglement),
        ("completeness", found.completeness),
        ("informativeness", found.informativeness),
    ] {
        let expected = golden(name)[0];
        assert!(is_close(found, expected), "{name}: {found}, not {expected}");
    }
}

#[test]
fn a_dimension_for_each_factor_is_disentangled_and_a_rotation_is_not() {
    let values: Vec<f32> = (0..400)
        .flat_map(|i| [(i % 5) as f32, (i / 5 % 7) as f32])
        .collect();
    let rotated: Vec<f32> = values
        .chunks(2)
        .flat_map(|pair| [pair[0] + pair[1], pair[0] - pair[1]])
        .collect();
    let factors = Factors {
        values: values.clone(),
        count: 2,
    };
    let apart = Disentanglement::of(&values, 2, &factors);
    let mixed = Disentanglement::of(&rotated, 2, &factors);
    assert!(
        apart.mig > 0.9 && apart.sap > 0.9 && apart.disentanglement > 0.9,
        "{apart:?}"
    );
    assert!(
        mixed.mig < 0.3 && mixed.sap < 0.5 && mixed.disentanglement < 0.3,
        "{mixed:?}"
    );
    assert!(mixed.informativeness > 0.9, "{mixed:?}");
}

#[test]
fn means_have_their_standard_errors() {
    let found = Mean::of(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(found.mean, 2.5);
    assert!(is_close(found.standard_error, (5.0f64 / 3.0 / 4.0).sqrt()));
}
