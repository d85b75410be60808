//! A model of doubles on a device that was first used for singles, which decides for a whole process what type its
//! tensors have when none is named: alone in its process.

use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;
use vae_model::{Vae, convolve};
use vae_spec::{ModelConfig, Prior, Weights};

#[test]
fn a_model_of_doubles_is_one_on_a_device_that_was_first_used_for_singles() {
    let device = Default::default();
    let single = Tensor::<NdArray<f32>, 2>::zeros([1, 1], &device);
    assert_eq!(single.dtype(), DType::F32);
    for prior in [
        Prior::Normal,
        Prior::Mixture { components: 3 },
        Prior::Vamp { inputs: 2 },
    ] {
        let config = ModelConfig {
            prior,
            ..ModelConfig::dense(2, &[3], 1)
        };
        let weights = Weights::initial(&config, 5);
        let vae = Vae::<NdArray<f64>>::new(&config, &weights, &device, convolve);
        let mut types = vae.parameters().iter().map(Tensor::dtype);
        assert!(types.all(|of_one| of_one == DType::F64));
        let z = Tensor::zeros([2, 1], (&device, DType::F64));
        assert_eq!(vae.log_prior(z).dtype(), DType::F64);
    }
}
