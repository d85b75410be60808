//! Draws configurations: data of every kind, and options that fit them more often than not.

use std::fs;
use std::path::{Path, PathBuf};

use vae_rng::{Generator, Stream};

/// A stream of choices.
pub(super) struct Draw {
    uniforms: std::vec::IntoIter<f32>,
}

/// What the rows of data are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Grey,
    Colour,
    Table,
    Counts,
}

const KINDS: [Kind; 4] = [Kind::Grey, Kind::Colour, Kind::Table, Kind::Counts];

impl Draw {
    /// The choices of the configuration of this number.
    pub(super) fn new(number: usize) -> Self {
        let generator = Generator::new(number as u64, Stream::Shuffle);
        Self {
            uniforms: generator.uniforms(0, 0, 1, 100_000).into_iter(),
        }
    }

    /// From 0 to 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.uniforms.next().expect("enough").into()
    }

    pub(super) fn is(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count - 1)
    }

    /// Whether an option that fits only in some cases is taken: sometimes also where it does not fit.
    fn fitting(&mut self, fits: bool, probability: f64) -> bool {
        self.is(if fits {
            probability
        } else {
            probability / 25.0
        })
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The arguments of `train`, with data of their own in `folder`.
    pub(super) fn configuration(&mut self, folder: &Path) -> Vec<String> {
        let kind = self.of(&KINDS);
        let data = self.data(kind, folder);
        let mut arguments = Arguments(vec!["--offline".into()]);
        arguments.set("--data", data.display());
        arguments.set("--epochs", 3);
        arguments.set("--seed", self.below(1_000));
        self.of_data(kind, &mut arguments);
        self.of_network(kind, &mut arguments);
        self.of_model(kind, &mut arguments);
        self.of_training(&mut arguments);
        arguments.0
    }

    /// Some seventy rows.
    fn data(&mut self, kind: Kind, folder: &Path) -> PathBuf {
        let rows = 60 + self.below(20);
        let npy = |name: &str, shape: &str, bytes: Vec<u8>| {
            let path = folder.join(name);
            fs::write(&path, npy(shape, &bytes)).expect("written");
            path
        };
        match kind {
            Kind::Grey => {
                let labels: Vec<u8> = (0..rows).map(|row| (row % 3) as u8).collect();
                npy("labels.npy", &format!("({rows},)"), labels);
                let shape = format!("({rows}, 9, 12)");
                npy("grey.npy", &shape, self.bytes(rows, 9 * 12, 256.0))
            }
            Kind::Colour => {
                let shape = format!("({rows}, 8, 6, 3)");
                npy("colour.npy", &shape, self.bytes(rows, 8 * 6 * 3, 256.0))
            }
            Kind::Counts => {
                let shape = format!("({rows}, 11)");
                npy("counts.npy", &shape, self.bytes(rows, 11, 6.0))
            }
            Kind::Table => {
                let mut text = "a,b,c,d,kind\n".to_owned();
                for row in 0..rows {
                    let values = [(); 4].map(|()| format!("{:.4}", 8.0 * self.uniform() - 3.0));
                    text += &format!("{},{}\n", values.join(","), ["one", "two"][row % 2]);
                }
                let path = folder.join("table.csv");
                fs::write(&path, text).expect("written");
                path
            }
        }
    }

    /// Rows of brightness that varies from row to row.
    fn bytes(&mut self, rows: usize, columns: usize, levels: f64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..rows {
            let level = self.uniform();
            bytes.extend((0..columns).map(|_| (levels * level * self.uniform()) as u8));
        }
        bytes
    }

    fn of_data(&mut self, kind: Kind, arguments: &mut Arguments) {
        let fraction = self.of(&["0.1", "0.2", "0.5"]);
        arguments.set("--val-fraction", fraction);
        if kind == Kind::Table {
            arguments.set("--labels", "kind");
        }
        let labels = arguments.0[2].replace("grey.npy", "labels.npy");
        if kind == Kind::Grey && self.is(0.7) {
            arguments.set("--labels", labels);
        }
        let scales: &[&str] = match kind {
            Kind::Grey | Kind::Colour => &["auto", "bytes", "min-max"],
            Kind::Table => &["auto", "none", "min-max", "range", "standardize"],
            Kind::Counts => &["auto", "none"],
        };
        if self.is(0.4) {
            arguments.set("--scale", self.of(scales));
        }
        let is_image = matches!(kind, Kind::Grey | Kind::Colour);
        if self.fitting(is_image, 0.3) {
            arguments.set("--binarize", self.of(&["threshold", "static", "dynamic"]));
        }
        if self.fitting(kind != Kind::Counts, 0.2) {
            let corruptions = ["gaussian:0.3", "salt-pepper:0.2", "mask:1", "mask:3"];
            let known = if is_image { 4 } else { 3 };
            arguments.set("--corrupt", self.of(&corruptions[..known]));
        }
        let can_stream = self.fitting(matches!(kind, Kind::Grey | Kind::Counts), 0.2);
        arguments.flag("--stream", can_stream);
    }

    fn of_network(&mut self, kind: Kind, arguments: &mut Arguments) {
        arguments.set("--latent", 1 + self.below(6));
        arguments.set("--hidden", self.of(&["5", "16", "12,7", "9,9,9"]));
        if self.is(0.2) {
            arguments.set("--decoder-hidden", self.of(&["6", "3,8"]));
        }
        let is_image = matches!(kind, Kind::Grey | Kind::Colour);
        if self.fitting(is_image, 0.5) {
            arguments.set("--channels", self.of(&["4", "3,5", "8,4,2"]));
            let stride = 1 + self.below(3);
            arguments.set("--stride", stride);
            let upsampling = self.of(&["transposed", "nearest"]);
            arguments.set("--upsampling", upsampling);
            let mut kernel = stride + self.below(3);
            if upsampling == "nearest" && self.is(0.9) {
                kernel |= 1;
            }
            arguments.set("--kernel", kernel);
            if self.is(0.4) {
                arguments.set("--group-norm", 1 + self.below(4));
            }
            arguments.set("--residual-blocks", self.below(3));
        }
        let activations = ["relu", "tanh", "sigmoid", "gelu", "leaky-relu", "softplus"];
        arguments.set("--activation", self.of(&activations));
        let has_labels = arguments.0.contains(&"--labels".into());
        arguments.flag("--conditional", self.fitting(has_labels, 0.4));
        arguments.set("--init", self.of(&["glorot", "he", "pytorch"]));
        arguments.set("--output-bias", self.of(&["init", "data"]));
    }

    fn of_model(&mut self, kind: Kind, arguments: &mut Arguments) {
        let fitting: &[&str] = match kind {
            Kind::Grey | Kind::Colour => &["bernoulli", "continuous-bernoulli", "gaussian"],
            Kind::Table => &["gaussian", "laplace"],
            Kind::Counts => &["poisson", "negative-binomial"],
        };
        let all = [
            "bernoulli",
            "continuous-bernoulli",
            "gaussian",
            "laplace",
            "discretized-logistic",
            "poisson",
            "negative-binomial",
        ];
        let likelihood = if self.is(0.9) {
            self.of(fitting)
        } else {
            self.of(&all)
        };
        arguments.set("--likelihood", likelihood);
        let spread = [
            "gaussian",
            "laplace",
            "discretized-logistic",
            "negative-binomial",
        ];
        if self.fitting(spread.contains(&likelihood), 0.6) {
            arguments.set("--sigma", self.of(&["0.5", "learned", "per-dimension"]));
        }
        let prior = self.of(&["mixture:3", "vamp:4"]);
        let has_prior = self.is(0.3);
        if has_prior {
            arguments.set("--prior", prior);
        }
        let objectives = ["capacity", "beta-tcvae", "info-vae", "iwae", "dreg"];
        let mut objective = if self.is(0.4) {
            "elbo"
        } else {
            self.of(&objectives)
        };
        if has_prior && matches!(objective, "beta-tcvae" | "info-vae") && self.is(0.95) {
            objective = "capacity";
        }
        arguments.set("--objective", objective);
        let own: &[[&str; 2]] = match objective {
            "capacity" => &[["--capacity", "3:1"], ["--capacity", "2:10steps"]],
            "info-vae" => &[["--mmd-kernel", "rbf"], ["--mmd-weight", "7"]],
            "iwae" | "dreg" => &[["--samples", "3"], ["--samples", "1"]],
            _ => &[["--samples", "2"]],
        };
        if self.is(0.5) {
            let [option, value] = self.of(own);
            arguments.set(option, value);
        }
        let is_sampled = has_prior || matches!(objective, "iwae" | "dreg" | "beta-tcvae");
        if self.fitting(objective == "elbo" && !is_sampled, 0.4) {
            let bits = ["0.1", "0.2:group-2:image", "1:total", "0.1:dimension:batch"];
            arguments.set("--free-bits", self.of(&bits));
        } else if self.is(0.2) {
            let kinds: &[&str] = if is_sampled {
                &["sampled"]
            } else {
                &["analytic", "sampled"]
            };
            arguments.set("--kl", self.of(kinds));
        }
        if self.is(0.3) {
            arguments.set("--beta", self.of(&["0", "0.5", "4"]));
        }
        if self.is(0.3) {
            let schedules = ["linear", "cosine:1", "sigmoid:9steps", "cyclical:2"];
            arguments.set("--kl-schedule", self.of(&schedules));
        }
    }

    fn of_training(&mut self, arguments: &mut Arguments) {
        arguments.set("--batch-size", 5 + self.below(12));
        if self.is(0.3) {
            arguments.set("--accumulate", 1 + self.below(3));
        }
        let optimizers = ["rmsprop", "adam", "adamw", "amsgrad", "adagrad", "sgd"];
        let optimizer = self.of(&optimizers);
        arguments.set("--optimizer", optimizer);
        // Sums over many values have steep slopes.
        arguments.set("--lr", if optimizer == "sgd" { "1e-5" } else { "1e-3" });
        if self.fitting(optimizer == "sgd", 0.5) {
            arguments.set("--momentum", "0.5");
        }
        if self.is(0.3) {
            let schedules = [
                "steps:1,2:0.5",
                "exponential:0.9",
                "cosine:1",
                "plateau:0.5:0",
            ];
            arguments.set("--lr-schedule", self.of(&schedules));
        }
        if self.is(0.3) {
            arguments.set("--weight-decay", "0.01");
        }
        if self.is(0.2) {
            arguments.set("--clip-norm", "5");
        } else if self.is(0.2) {
            arguments.set("--clip-value", "0.5");
        }
        if self.is(0.3) {
            arguments.set("--ema", "0.9");
        }
        if self.is(0.2) {
            arguments.set("--early-stopping", self.of(&["1", "1:0.5:1"]));
        }
        if self.is(0.2) {
            let metrics = ["train.loss", "validation.elbo", "active_units"];
            arguments.set("--best-by", self.of(&metrics));
        }
        if self.is(0.3) {
            arguments.set("--checkpoint-steps", 1 + self.below(5));
        }
        arguments.flag("--tensorboard", self.is(0.1));
    }
}

/// A command line.
struct Arguments(Vec<String>);

impl Arguments {
    fn set(&mut self, option: &str, value: impl ToString) {
        self.0.extend([option.to_owned(), value.to_string()]);
    }

    fn flag(&mut self, option: &str, is_set: bool) {
        self.0.extend(is_set.then(|| option.to_owned()));
    }
}

/// An NPY file of bytes.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((length as u16).to_le_bytes());
    file.extend(format!("{header:<width$}\n", width = length - 1).bytes());
    file.extend(bytes);
    file
}
