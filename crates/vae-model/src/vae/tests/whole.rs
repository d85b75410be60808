//! Whole networks, from images to images, and what labels do to them.

use super::{Matrix, close, convolutional, matrix, numbers, read, vae};
use vae_spec::network::Op;
use vae_spec::{Convolutions, Likelihood, ModelConfig, Upsampling};

#[test]
fn a_forward_pass_gives_back_an_image_of_the_same_size() {
    for (image, kernel, stride, upsampling) in [
        ([1, 1, 1], 5, 3, Upsampling::Transposed),
        ([3, 5, 9], 3, 2, Upsampling::Nearest),
        ([3, 5, 9], 4, 3, Upsampling::Transposed),
        ([1, 28, 28], 4, 2, Upsampling::Transposed),
        ([2, 17, 31], 5, 3, Upsampling::Nearest),
        ([1, 33, 33], 2, 1, Upsampling::Transposed),
    ] {
        let stages = Convolutions {
            channels: vec![4, 6],
            kernel,
            stride,
            upsampling,
            groups: Some(4),
            residual_blocks: 1,
        };
        // Kernels of 4 on what is left of 5 by 9 pixels do not fit.
        let stages = Convolutions {
            channels: vec![4; if stages.fits(image) { 2 } else { 1 }],
            ..stages
        };
        let config = convolutional(image, stages);
        let (vae, pixels) = (vae(&config), config.pixels());
        let mut names = Vec::new();
        let (mu, log_var) = vae.encode(
            matrix(&numbers(2 * pixels), pixels),
            None,
            &mut |name, x| {
                assert_eq!(x.dims()[0], 2);
                names.push(name.to_owned());
            },
        );
        assert_eq!([mu.dims(), log_var.dims()], [[2, 2]; 2]);
        let output = vae.decode(mu, None, &mut |name, _| names.push(name.to_owned()));
        assert_eq!(output.dims(), [2, pixels], "{config:?}");
        assert!(read(output).iter().all(|x| x.is_finite()));
        assert_eq!(names.last().map(String::as_str), Some("output"));
    }
}

#[test]
fn counts_are_seen_by_their_logarithms() {
    let config = ModelConfig {
        likelihood: Likelihood::Poisson,
        ..ModelConfig::dense(3, &[], 2)
    };
    let counts = [0.0, 3.0, 1e6];
    let logs = counts.map(f64::ln_1p);
    let mu = |config: &ModelConfig, x: &[f64]| {
        read(vae(config).encode(matrix(x, 3), None, &mut |_, _| {}).0)
    };
    let plain = ModelConfig::dense(3, &[], 2);
    close(&mu(&config, &counts), &mu(&plain, &logs));
}

#[test]
fn labels_are_columns_behind_the_features_and_behind_the_latents() {
    let config = ModelConfig {
        classes: 3,
        ..ModelConfig::dense(4, &[5], 2)
    };
    let vae = vae(&config);
    assert_eq!(
        [&vae.network.encoder[0], &vae.network.decoder[0]],
        [&Op::Label; 2]
    );
    let x = numbers(4);
    let label = |class: usize| -> Matrix {
        let mut row = [0.0; 3];
        row[class] = 1.0;
        matrix(&row, 3)
    };
    // The label's row of the first weight is added to the sums of the layer without labels.
    let sums = |class: usize, is_decoder: bool| {
        let mut first = None;
        let mut keep = |_: &str, y: &Matrix| {
            first.get_or_insert_with(|| read(y.clone()));
        };
        if is_decoder {
            vae.decode(matrix(&x[..2], 2), Some(&label(class)), &mut keep);
        } else {
            vae.encode(matrix(&x, 4), Some(&label(class)), &mut keep);
        }
        first.expect("a layer")
    };
    for (name, inputs, is_decoder) in [
        ("encoder.0.weight", 4, false),
        ("decoder.0.weight", 2, true),
    ] {
        let specs = config.parameters();
        let place = specs
            .iter()
            .position(|spec| spec.name == name)
            .expect("a layer");
        assert_eq!(specs[place].shape, [inputs + 3, 5]);
        let [weight, bias]: [Vec<f64>; 2] = [0, 1].map(|offset| {
            vae.parameters[place + offset]
                .clone()
                .into_data()
                .iter()
                .collect()
        });
        for class in 0..3 {
            let expected = (0..5).map(|column| {
                let features = (0..inputs).map(|row| x[row] * weight[row * 5 + column]);
                features.sum::<f64>() + weight[(inputs + class) * 5 + column] + bias[column]
            });
            close(&sums(class, is_decoder), &expected.collect::<Vec<_>>());
        }
    }
    let images = matrix(&x, 4);
    let [one, other] = [0, 2].map(|class| {
        let label = label(class);
        let (mu, _) = vae.encode(images.clone(), Some(&label), &mut |_, _| {});
        let z = matrix(&[0.1, 0.2], 2);
        [read(mu), read(vae.decode(z, Some(&label), &mut |_, _| {}))]
    });
    assert!(one[0] != other[0] && one[1] != other[1]);
}
