//! Limits where parts of objectives vanish or coincide, and free bits computed by hand.

use burn::tensor::Tensor;

use super::super::{at_least, decomposition};
use super::{Case, Double, Plain, distance, gradients_of, read, tensor, tiny};
use crate::Normals;
use vae_spec::{
    FreeBits, FreeBitsPer, KlEstimate, MmdKernel, ModelConfig, Objective, ObjectiveKind, Prior,
    Weighting,
};

/// Some hundred roundings of an f64, relative to 1 and to the numbers.
const ROUNDED: f64 = 128.0 * f64::EPSILON;

const SAMPLED: Objective = Objective {
    kl: KlEstimate::Sampled,
    ..Objective::ELBO
};

fn of(kind: ObjectiveKind) -> Objective {
    Objective { kind, ..SAMPLED }
}

/// The distance of two losses and all their gradients.
fn apart(one: &Case, other: &Case) -> f64 {
    let loss = distance(&[vec![one.loss()]], &[vec![other.loss()]]);
    loss.max(distance(&one.gradients(), &other.gradients()))
}

#[test]
fn beta_tc_with_all_weights_1_is_the_elbo_of_the_sampled_kl() {
    let elbo = Case::new(&tiny(), SAMPLED).with(|case| case.weighting = Weighting::PLAIN);
    let beta_tc = elbo.with(|case| case.objective = of(ObjectiveKind::BetaTc));
    let found = apart(&beta_tc, &elbo);
    assert!(found < ROUNDED, "{found}");
    // With uneven weights it is another loss.
    let heavier = beta_tc.with(|case| case.weighting.beta = 1.001);
    assert!(apart(&heavier, &elbo) > 1e6 * ROUNDED);
}

#[test]
fn the_three_terms_of_beta_tc_sum_to_the_sampled_kl_whatever_the_number_of_images() {
    let elbo = Case::new(&tiny(), SAMPLED);
    let kl = read(elbo.terms::<Plain>(&elbo.vae()).kl)[0];
    for data_count in [3, 1000, 60_000] {
        let case = elbo.with(|case| {
            case.objective = of(ObjectiveKind::BetaTc);
            case.data_count = data_count;
        });
        let terms = case.terms::<Plain>(&case.vae());
        let sum: f64 = terms.extra.into_iter().map(|term| read(term)[0]).sum();
        let sums = [vec![sum], read(terms.kl)];
        let found = distance(&sums, &[vec![kl], vec![kl]]);
        // log(N M) is added and subtracted.
        assert!(found < ROUNDED, "{data_count}: {found}");
    }
}

#[test]
fn a_capacity_of_0_is_the_beta_elbo() {
    let elbo = Case::new(&tiny(), Objective::ELBO).with(|case| case.weighting.capacity = 0.0);
    let capacity = elbo.with(|case| case.objective.kind = ObjectiveKind::Capacity);
    assert_eq!(apart(&capacity, &elbo), 0.0);
    let pulled = capacity.with(|case| case.weighting.capacity = 0.01);
    assert!(apart(&pulled, &elbo) > 1e-3);
}

#[test]
fn a_discrepancy_of_weight_0_leaves_the_elbo() {
    for kernel in [MmdKernel::Imq, MmdKernel::Rbf] {
        let mmd = |weight| ObjectiveKind::Mmd { weight, kernel };
        let elbo = Case::new(&tiny(), Objective::ELBO);
        let without = elbo.with(|case| case.objective.kind = mmd(0.0));
        assert!(apart(&without, &elbo) < ROUNDED);
        let with = elbo.with(|case| case.objective.kind = mmd(0.1));
        assert!(apart(&with, &elbo) > 1e-3);
    }
}

#[test]
fn the_bound_of_one_draw_is_the_elbo_of_the_sampled_kl() {
    for prior in [
        Prior::Normal,
        Prior::Mixture { components: 3 },
        Prior::Vamp { inputs: 2 },
    ] {
        for beta in [1.0, 0.5] {
            let config = ModelConfig { prior, ..tiny() };
            let elbo = Case::new(&config, SAMPLED).with(|case| case.weighting.beta = beta);
            let iwae = elbo.with(|case| case.objective.kind = ObjectiveKind::Iwae);
            let found = apart(&iwae, &elbo);
            assert!(found < ROUNDED, "{prior:?} {beta}: {found}");
        }
    }
}

#[test]
fn a_plain_weighting_is_beta_1() {
    let plain = Case::new(&tiny(), Objective::ELBO).with(|case| case.weighting = Weighting::PLAIN);
    let terms = plain.terms::<Plain>(&plain.vae());
    let sum = read(terms.recon + terms.kl);
    assert_eq!(sum[0], plain.loss());
    // The ELBO does not use the other two.
    let other = plain.with(|case| {
        case.weighting.anneal = 0.3;
        case.weighting.capacity = 7.0;
    });
    assert_eq!(apart(&other, &plain), 0.0);
}

const PARTS: [FreeBitsPer; 3] = [
    FreeBitsPer::Dimension,
    FreeBitsPer::Group(2),
    FreeBitsPer::Total,
];

fn free_bits(nats: f32, per: FreeBitsPer, after_batch_mean: bool) -> FreeBits {
    FreeBits {
        nats,
        per,
        after_batch_mean,
    }
}

#[test]
fn free_bits_of_almost_nothing_leave_the_elbo() {
    for per in PARTS {
        for after_batch_mean in [false, true] {
            let elbo = Case::new(&tiny(), Objective::ELBO);
            let free = elbo.with(|case| {
                case.objective.free_bits = Some(free_bits(1e-30, per, after_batch_mean));
            });
            let found = apart(&free, &elbo);
            assert!(found < ROUNDED, "{per:?} {after_batch_mean}: {found}");
        }
    }
}

/// KL divergences of two images' four dimensions, nats; numbers whose sums are exact.
const TABLE: [f64; 8] = [0.125, 0.5, 2.0, 0.0, 0.5, 0.0, 0.125, 4.5];

/// Normals of variance 1, whose divergences `mu^2 / 2` are the table's, and their means.
fn posteriors() -> (Normals<Double>, Tensor<Double, 2>) {
    let mu = TABLE.map(|kl| (2.0 * kl).sqrt());
    let mu = tensor::<Double, 2>(&mu, [2, 4]).require_grad();
    (Normals::new(mu.clone(), mu.zeros_like()), mu)
}

#[test]
fn free_bits_are_those_computed_by_hand() {
    let by_hand = [
        // max(., 0.25): (0.25 + 0.5 + 2 + 0.25 + 0.5 + 0.25 + 0.25 + 4.5) / 2
        (0.25, FreeBitsPer::Dimension, false, 4.25),
        // Means 0.3125, 0.25, 1.0625, 2.25, of which the second counts as 0.3
        (0.3, FreeBitsPer::Dimension, true, 3.925),
        // Pairs 0.625, 2, 0.5, 4.625, of which two count as 1
        (1.0, FreeBitsPer::Group(2), false, 4.3125),
        // Means 0.5625, 3.3125, of which the first counts as 1
        (1.0, FreeBitsPer::Group(2), true, 4.3125),
        // Pairs, of which three count as 2, which is the second's own value; means, of which the first counts as 3
        (2.0, FreeBitsPer::Group(2), false, 5.3125),
        (3.0, FreeBitsPer::Group(2), true, 6.3125),
        // Images 2.625, 5.125, of which the first counts as 3
        (3.0, FreeBitsPer::Total, false, 4.0625),
        // Mean 3.875
        (3.0, FreeBitsPer::Total, true, 3.875),
        (4.0, FreeBitsPer::Total, true, 4.0),
    ];
    for (nats, per, after_batch_mean, expected) in by_hand {
        let (normals, _) = posteriors();
        let found = read(at_least(&normals, free_bits(nats, per, after_batch_mean)))[0];
        // 0.3 is an f32 here.
        assert!(
            (found - expected).abs() < 1e-7,
            "{nats} {per:?} {after_batch_mean}: {found}, not {expected}"
        );
    }
}

#[test]
fn every_way_to_count_free_bits_gives_another_number() {
    let mut found: Vec<f64> = PARTS
        .into_iter()
        .flat_map(|per| [false, true].map(|mean| (per, mean)))
        .map(|(per, mean)| read(at_least(&posteriors().0, free_bits(3.5, per, mean)))[0])
        .collect();
    found.sort_by(f64::total_cmp);
    found.dedup();
    // Per dimension (3.5 * 7 + 4.5) / 2 and 3.5 * 4, for pairs (3.5 * 3 + 4.625) / 2 and 3.5 * 2, for images
    // (3.5 + 5.125) / 2 and 3.875.
    assert_eq!(found, [3.875, 4.3125, 7.0, 7.5625, 14.0, 14.5]);
}

#[test]
fn a_part_below_its_free_bits_has_no_gradient() {
    let slopes = |per, after_batch_mean| {
        let (normals, mu) = posteriors();
        let loss = at_least(&normals, free_bits(0.3, per, after_batch_mean));
        let slopes = read(mu.grad(&loss.backward()).expect("a gradient"));
        slopes
            .into_iter()
            .map(|slope| slope != 0.0)
            .collect::<Vec<bool>>()
    };
    let of_each: Vec<bool> = TABLE.iter().map(|&kl| kl > 0.3).collect();
    assert_eq!(slopes(FreeBitsPer::Dimension, false), of_each);
    // The second dimension's mean, 0.25, is below; the others' parts above 0 have a gradient in either image.
    let of_means: Vec<bool> = (0..8)
        .map(|place| place % 4 != 1 && TABLE[place] > 0.0)
        .collect();
    assert_eq!(slopes(FreeBitsPer::Dimension, true), of_means);
}

#[test]
fn the_decomposition_of_one_image_has_no_correlation() {
    // One posterior is the whole minibatch: its dimensions are independent, but for `log(N M)` in each.
    let mu = tensor::<Plain, 2>(&[0.3, -1.2], [1, 2]);
    let log_var = tensor(&[0.1, -0.7], [1, 2]);
    let z = tensor(&[0.5, 0.4], [1, 2]);
    let terms = decomposition(&Normals::new(mu, log_var), z, 1);
    let [information, correlation, _] = terms.map(|term| read(term)[0]);
    assert!(information.abs() < ROUNDED && correlation.abs() < ROUNDED);
}

#[test]
fn gradients_of_dreg_from_one_draw_are_those_of_the_path_alone() {
    // At the optimum, a posterior that is the prior under a decoder that ignores z, they are 0 for every draw, unlike those of
    // the sampled ELBO (Roeder et al. 2017).
    let case = Case::new(&tiny(), of(ObjectiveKind::Dreg)).with(|case| {
        let specs = case.config.parameters().into_iter();
        for (values, spec) in case.parameters.iter_mut().zip(specs) {
            if ["mu", "log_var", "decoder.0.weight"]
                .iter()
                .any(|name| spec.name.starts_with(name))
            {
                values.fill(0.0);
            }
        }
    });
    let is_still = |gradients: Vec<Vec<f64>>| {
        let specs = case.config.parameters().into_iter().zip(gradients);
        let heads = specs.filter(|(spec, _)| spec.name.starts_with("mu"));
        heads.flat_map(|(_, gradient)| gradient).all(|g| g == 0.0)
    };
    let vae = case.vae::<Double>();
    let dreg = case.terms(&vae).doubly_reparameterized.expect("DReG");
    let loss = case.terms(&vae).loss.backward();
    assert!(is_still(gradients_of(&vae, &loss)));
    assert_eq!(read(dreg.factor), [1.0; 3]);
    let sampled = case.with(|case| case.objective = SAMPLED);
    assert!(!is_still(sampled.gradients()));
}
