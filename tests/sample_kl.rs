//! `sample_kl`: the shaders against the plain-tensor reference, and the reference's backward against plain autodiff.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArrayDevice;
use vae_burn::Cpu;
use vae_burn::sample_kl::{SampleKl, reference, sample_kl};
use vae_burn_wgpu::Shaders;
use vae_rng::{Generator, Noise, Stream};

use crate::common::{distance, gpu};

/// With and without whole blocks of four latents, less and more than the threads of a workgroup.
const SIZES: [[usize; 2]; 9] = [
    [1, 1],
    [3, 2],
    [1, 4],
    [100, 2],
    [128, 20],
    [257, 33],
    [67, 64],
    [5, 1028],
    [5, 1030],
];
/// Values at, beyond and around both ends of the clamp, and in the middle.
const LOG_VARS: [f32; 9] = [-200.0, -30.001, -30.0, -29.0, 0.0, 19.0, 20.0, 20.001, 95.0];
const CPU: NdArrayDevice = NdArrayDevice::Cpu;

fn noise() -> Noise {
    Noise {
        generator: Generator::new(9, Stream::Noise),
        step: 1 << 33 | 5,
        first_row: 1000,
    }
}

/// Inputs of one size: `mu`, `log_var` and the gradient of the packed output.
struct Case {
    size: [usize; 2],
    mu: Vec<f32>,
    log_var: Vec<f32>,
    d_z_kl: Vec<f32>,
}

impl Case {
    /// Posteriors with values typical of a network.
    fn usual([batch, latent]: [usize; 2]) -> Self {
        let normals =
            |step, columns| Generator::new(1, Stream::Init).normals(step, 0, batch, columns);
        Self {
            size: [batch, latent],
            mu: normals(0, latent),
            log_var: normals(1, latent),
            d_z_kl: normals(2, latent + 1),
        }
    }

    /// The same with extreme values of `log_var`.
    fn extreme(size: [usize; 2]) -> Self {
        let mut case = Self::usual(size);
        case.log_var = LOG_VARS
            .iter()
            .copied()
            .cycle()
            .take(case.log_var.len())
            .collect();
        case
    }

    fn all() -> impl Iterator<Item = Self> {
        SIZES
            .into_iter()
            .flat_map(|size| [Self::usual(size), Self::extreme(size)])
    }

    fn tensor<B: Backend>(&self, values: &[f32], device: &B::Device) -> Tensor<B, 2> {
        let [batch, _] = self.size;
        Tensor::from_data(
            TensorData::new(values.to_vec(), [batch, values.len() / batch]),
            device,
        )
    }

    /// `z | kl` from the op on a backend.
    fn forward<B: SampleKl>(&self, device: &B::Device) -> Vec<f32> {
        let (z, kl) = sample_kl(
            self.tensor::<B>(&self.mu, device),
            self.tensor(&self.log_var, device),
            noise(),
        );
        assert_eq!((z.dims(), kl.dims()), (self.size, [self.size[0]]));
        values(Tensor::cat(vec![z, kl.unsqueeze_dim(1)], 1))
    }

    /// `d_mu, d_log_var` from the op under autodiff.
    fn backward<B: SampleKl>(&self, device: &B::Device) -> [Vec<f32>; 2] {
        self.gradients::<B>(device, |mu, log_var| {
            let (z, kl) = sample_kl(mu, log_var, noise());
            Tensor::cat(vec![z, kl.unsqueeze_dim(1)], 1)
        })
    }

    fn gradients<B: Backend>(
        &self,
        device: &B::Device,
        op: impl Fn(Tensor<Autodiff<B>, 2>, Tensor<Autodiff<B>, 2>) -> Tensor<Autodiff<B>, 2>,
    ) -> [Vec<f32>; 2] {
        let inputs = [&self.mu, &self.log_var]
            .map(|input| self.tensor::<Autodiff<B>>(input, device).require_grad());
        let [mu, log_var] = inputs.clone();
        let gradients = (op(mu, log_var) * self.tensor(&self.d_z_kl, device))
            .sum()
            .backward();
        inputs.map(|input| values(input.grad(&gradients).expect("an input that counts")))
    }

    fn clamped(&self, index: usize) -> f32 {
        self.log_var[index].clamp(-30.0, 20.0)
    }

    /// `exp(v)` of a shader is within (3 + 2 |v|) units of 2^-23 (WGSL, "Accuracy of built-in functions"), which for
    /// |v / 2| <= 15 is 33; `eps` of at most 5.77 is within 4.2e-6 (tests/random.rs); two roundings of the result.
    fn z_tolerance(&self, index: usize, z: f32) -> f32 {
        let sigma = (0.5 * self.clamped(index)).exp();
        sigma * (5.77 * 33.0 * 2f32.powi(-23) + 4.2e-6)
            + (self.mu[index].abs() + z.abs()) * 2f32.powi(-23)
    }

    /// For |v| <= 30, 63 units of 2^-23 of `exp(v)`; four roundings of each term and one of the sum for each term.
    fn kl_tolerance(&self, row: usize) -> f32 {
        let latent = self.size[1];
        let term = |j: usize| {
            let index = row * latent + j;
            let (mu, v) = (self.mu[index], self.clamped(index));
            63.0 * 2f32.powi(-23) * v.exp()
                + (4 + latent) as f32 * 2f32.powi(-24) * (mu * mu + v.exp() + v.abs() + 1.0)
        };
        0.5 * (0..latent).map(term).sum::<f32>()
    }

    fn forward_distance(&self, found: &[f32], expected: &[f32]) -> f32 {
        let columns = self.size[1] + 1;
        distance(found, expected, |index| {
            let (row, column) = (index / columns, index % columns);
            if column == self.size[1] {
                self.kl_tolerance(row)
            } else {
                self.z_tolerance(row * self.size[1] + column, expected[index])
            }
        })
    }

    /// `d_mu`: three roundings. `d_log_var`: `z - mu` has the error of `z`, plus that of `exp(v)` as above.
    fn backward_distance(&self, found: &[Vec<f32>; 2], expected: &[Vec<f32>; 2]) -> f32 {
        let latent = self.size[1];
        let d_z = |index: usize| self.d_z_kl[index + index / latent].abs();
        let d_kl = |index: usize| self.d_z_kl[(index / latent + 1) * (latent + 1) - 1].abs();
        let d_mu = distance(&found[0], &expected[0], |index| {
            3.0 * 2f32.powi(-23) * (d_z(index) + d_kl(index) * self.mu[index].abs())
        });
        let d_log_var = distance(&found[1], &expected[1], |index| {
            let v = self.clamped(index);
            let z = self.mu[index].abs() + 5.77 * (0.5 * v).exp();
            0.5 * d_z(index) * (self.z_tolerance(index, z) + z * 2f32.powi(-21))
                + 0.5 * d_kl(index) * (66.0 * 2f32.powi(-23) * v.exp() + 2f32.powi(-22))
        });
        d_mu.max(d_log_var)
    }
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("f32")
}

#[test]
fn the_forward_shader_is_the_reference() {
    let Some(device) = gpu().map(vae_burn_wgpu::device) else {
        return;
    };
    for case in Case::all() {
        let worst = case.forward_distance(
            &case.forward::<Shaders>(&device),
            &case.forward::<Cpu>(&CPU),
        );
        assert!(worst <= 1.0, "{:?}: {worst} tolerances", case.size);
    }
}

#[test]
fn the_backward_shader_is_the_reference() {
    let Some(device) = gpu().map(vae_burn_wgpu::device) else {
        return;
    };
    for case in Case::all() {
        let worst = case.backward_distance(
            &case.backward::<Shaders>(&device),
            &case.backward::<Cpu>(&CPU),
        );
        assert!(worst <= 1.0, "{:?}: {worst} tolerances", case.size);
    }
}

#[test]
fn the_backward_formulas_are_plain_autodiff_of_the_forward() {
    for case in Case::all() {
        let plain =
            case.gradients::<Cpu>(&CPU, |mu, log_var| reference::forward(mu, log_var, noise()));
        let worst = case.backward_distance(&case.backward::<Cpu>(&CPU), &plain);
        assert!(worst <= 1.0, "{:?}: {worst} tolerances", case.size);
    }
}

#[test]
fn nothing_flows_through_a_clamped_log_var() {
    let case = Case::extreme([9, 9]);
    let [_, d_log_var] = case.backward::<Cpu>(&CPU);
    for (log_var, gradient) in case.log_var.iter().zip(d_log_var) {
        let is_inside = (-30.0..=20.0).contains(log_var);
        assert_eq!(
            gradient != 0.0,
            is_inside,
            "log_var {log_var}: gradient {gradient}"
        );
    }
}

#[test]
fn wrong_forward_formulas_are_told_apart() {
    let case = Case::usual([128, 20]);
    let right = case.forward::<Cpu>(&CPU);
    let latent = case.size[1];
    let wrong = |formula: &dyn Fn(f32, f32) -> f32| {
        let mut packed = right.clone();
        for row in 0..case.size[0] {
            let terms = (row * latent..(row + 1) * latent)
                .map(|index| formula(case.mu[index], case.log_var[index]));
            packed[(row + 1) * (latent + 1) - 1] = terms.sum();
        }
        case.forward_distance(&packed, &right)
    };
    assert!(wrong(&|mu, v| 0.5 * (mu * mu + v.exp() - v - 1.0)) <= 1.0);
    assert!(
        wrong(&|mu, v| 0.5 * (mu * mu + v.exp() + v - 1.0)) > 100.0,
        "the sign of log_var"
    );
    assert!(
        wrong(&|mu, v| mu * mu + v.exp() - v - 1.0) > 100.0,
        "1 for 0.5"
    );

    let other = Noise {
        step: noise().step + 1,
        ..noise()
    };
    let (mu, log_var) = (
        case.tensor::<Cpu>(&case.mu, &CPU),
        case.tensor(&case.log_var, &CPU),
    );
    assert!(
        case.forward_distance(&values(reference::forward(mu, log_var, other)), &right) > 100.0,
        "another step's eps"
    );
}

#[test]
fn wrong_backward_formulas_are_told_apart() {
    let case = Case::extreme([128, 20]);
    let right = case.backward::<Cpu>(&CPU);
    let [d_mu, d_log_var] = right.clone();
    let doubled = [
        d_mu.clone(),
        d_log_var.iter().map(|gradient| 2.0 * gradient).collect(),
    ];
    assert!(
        case.backward_distance(&doubled, &right) > 100.0,
        "1 for 0.5"
    );
    let swapped = [d_log_var, d_mu];
    assert!(
        case.backward_distance(&swapped, &right) > 100.0,
        "the two gradients swapped"
    );
}

/// One row more than 65,535 workgroups of 256 rows: the grid is folded, and the last workgroup has only one row.
#[test]
fn a_batch_beyond_the_limit_of_workgroups_is_whole() {
    let Some(device) = gpu().map(vae_burn_wgpu::device) else {
        return;
    };
    const ROWS: usize = 65_535 * 256 + 1;
    const TAIL: usize = 300;
    let constant = |value: f32| Tensor::<Shaders, 2>::full([ROWS, 1], value, &device);
    let (z, kl) = sample_kl(constant(0.5), constant(-1.0), noise());
    let found = Tensor::cat(
        vec![
            z.narrow(0, ROWS - TAIL, TAIL),
            kl.narrow(0, ROWS - TAIL, TAIL).unsqueeze_dim(1),
        ],
        1,
    );

    let tail = Noise {
        first_row: noise().first_row + (ROWS - TAIL) as u32,
        ..noise()
    };
    let case = Case {
        size: [TAIL, 1],
        mu: vec![0.5; TAIL],
        log_var: vec![-1.0; TAIL],
        d_z_kl: vec![],
    };
    let (mu, log_var) = (
        case.tensor::<Cpu>(&case.mu, &CPU),
        case.tensor(&case.log_var, &CPU),
    );
    let worst = case.forward_distance(
        &values(found),
        &values(reference::forward(mu, log_var, tail)),
    );
    assert!(worst <= 1.0, "{worst} tolerances");
}
