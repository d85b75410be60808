//! Objectives against their authors' formulas, computed loop by loop elsewhere (`assets/goldens/objectives.py`), and
//! against wrong ones.

use super::{Case, Known, Plain, read};
use crate::Draws;
use vae_spec::{
    FreeBits, FreeBitsPer, KlEstimate, MmdKernel, ModelConfig, Objective, ObjectiveKind, Prior,
    Weighting,
};

const GOLDEN: &str = include_str!("../../../../../assets/goldens/objectives.txt");
const SAMPLES: usize = 4;
/// A sum of some hundred terms of about its size, each rounded a few times.
const ROUNDED: f64 = 1e-12;

/// The numbers on the lines of this name.
fn lines(name: &str) -> Vec<Vec<f64>> {
    let lines = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let numbers = |line: &str| {
        let numbers = line.split(' ');
        numbers.map(|x| x.parse().expect("a number")).collect()
    };
    lines.map(numbers).collect()
}

fn line(name: &str) -> Vec<f64> {
    let [line] = lines(name).try_into().expect("one line of this name");
    line
}

/// The golden's model: the encoder is the identity, an image that it sees is `mu` and then `log_var`; the decoder is
/// linear.
fn case(prior: Prior, samples: usize, kind: ObjectiveKind) -> Case {
    let config = ModelConfig {
        prior,
        ..ModelConfig::dense(4, &[], 2)
    };
    let objective = Objective {
        kind,
        samples,
        kl: KlEstimate::Analytic,
        free_bits: None,
    };
    Case::new(&config, objective).with(|case| {
        let specs = config.parameters().into_iter();
        for (values, spec) in case.parameters.iter_mut().zip(specs) {
            *values = match spec.name.as_str() {
                "mu.weight" => vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                "log_var.weight" => vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
                "output.weight" => line("weight"),
                "output.bias" => line("bias"),
                "prior.logits" => line("logits"),
                "prior.mu" => line("prior_mu"),
                "prior.log_var" => line("prior_log_var"),
                "prior.images" => line("vamp"),
                _ => vec![0.0; spec.length()],
            };
        }
        let of_image = |eps: &[f64]| eps[..2 * samples].to_vec();
        case.noise = Known {
            eps: line("eps").chunks(2 * SAMPLES).flat_map(of_image).collect(),
            prior: line("prior_draws"),
        };
        case.images = line("images");
        case.seen = line("seen");
        case.weighting.capacity = 0.25;
    })
}

const PRIORS: [(&str, Prior); 3] = [
    ("normal", Prior::Normal),
    ("mixture", Prior::Mixture { components: 3 }),
    ("vamp", Prior::Vamp { inputs: 2 }),
];

/// The largest relative distance of `found` from the golden line of this name.
fn distance(found: &[f64], name: &str) -> f64 {
    let expected = line(name);
    assert_eq!(found.len(), expected.len(), "{name}");
    let both = found.iter().zip(expected);
    both.map(|(f, e)| (f / e - 1.0).abs()).fold(0.0, f64::max)
}

/// Every objective's loss, with the name of its golden line.
fn losses() -> Vec<(String, f64)> {
    let mut all = Vec::new();
    let mut add = |name: &str, case: Case| all.push((name.to_owned(), case.loss()));
    let elbo = case(Prior::Normal, 1, ObjectiveKind::Elbo);
    add("elbo", elbo.clone());
    let of_all = case(Prior::Normal, SAMPLES, ObjectiveKind::Elbo);
    add("elbo of all samples", of_all);

    let capacity = elbo.with(|case| case.objective.kind = ObjectiveKind::Capacity);
    add("capacity below", capacity.clone());
    let above = capacity.with(|case| case.weighting.capacity = 25.0);
    add("capacity above", above);

    for (name, after_batch_mean) in [("free bits of means", true), ("free bits of images", false)] {
        let free_bits = Some(FreeBits {
            nats: 0.5,
            per: FreeBitsPer::Dimension,
            after_batch_mean,
        });
        add(name, elbo.with(|case| case.objective.free_bits = free_bits));
    }
    for kind in [ObjectiveKind::Iwae, ObjectiveKind::Dreg] {
        for (name, prior) in PRIORS {
            let iwae = case(prior, SAMPLES, kind);
            add(&format!("iwae {name} beta"), iwae.clone());
            let plain = iwae.with(|case| case.weighting = Weighting::PLAIN);
            add(&format!("iwae {name}"), plain);
        }
    }
    add(
        "beta-tc",
        elbo.with(|case| case.objective.kind = ObjectiveKind::BetaTc),
    );
    for (name, kernel) in [("mmd imq", MmdKernel::Imq), ("mmd rbf", MmdKernel::Rbf)] {
        let kind = ObjectiveKind::Mmd {
            weight: 2.5,
            kernel,
        };
        add(name, elbo.with(|case| case.objective.kind = kind));
    }
    all
}

#[test]
fn every_loss_is_that_of_its_authors_formula() {
    let losses = losses();
    assert_eq!(losses.len(), 6 + 12 + 3);
    for (name, loss) in losses {
        let found = distance(&[loss], &name);
        assert!(found < ROUNDED, "{name}: {loss} is off by {found}");
    }
}

#[test]
fn wrong_formulas_are_told_apart() {
    let mut count = 0;
    for (name, loss) in losses() {
        for wrong in lines(&format!("not {name}")) {
            let apart = (loss / wrong[0] - 1.0).abs();
            assert!(apart > 1e-3, "{name}: {loss} and {wrong:?}");
            count += 1;
        }
    }
    // Wrong values of the bound are compared with two losses, those of IWAE and DReG.
    assert_eq!(count, 3 + 2 + 1 + 2 * 4 + 3 + 2 * 2);
}

#[test]
fn priors_are_those_of_scipy() {
    for (name, prior) in PRIORS {
        let case = case(prior, SAMPLES, ObjectiveKind::Iwae);
        let vae = case.vae::<Plain>();
        let seen = super::tensor(&case.seen, [3, 4]);
        let (mu, log_var) = vae.encode(seen, None, &mut |_, _| {});
        let [mu, log_var] = [mu, log_var].map(|x| super::super::repeat_rows(x, SAMPLES));
        let (z, _) = case.noise.posterior(mu, log_var);
        let found = distance(&read(vae.log_prior(z)), &format!("log_prior {name}"));
        assert!(found < ROUNDED, "{name}: {found}");
    }
}

#[test]
fn the_terms_of_beta_tc_are_those_of_chens_code() {
    let case = case(Prior::Normal, 1, ObjectiveKind::BetaTc);
    let terms = case.terms::<Plain>(&case.vae()).extra;
    let terms: Vec<f64> = terms.into_iter().map(|term| read(term)[0]).collect();
    let found = distance(&terms, "beta-tc terms");
    assert!(found < ROUNDED, "{found}");
}
