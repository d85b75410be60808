//! ONNX nodes for the mean of the likelihood given the decoder's output.

use vae_spec::Likelihood;

use super::graph::Graph;

/// Threshold on half the logit, below which [`LANGEVIN`] is used.
const NEAR: f32 = 0.5;
/// Taylor coefficients of `coth t - 1/t` in odd powers of `t`, from the first (Abramowitz and Stegun 4.5.67). The next term is
/// `2 t^9 / 93555`: 4e-8 at [`NEAR`].
const LANGEVIN: [f64; 4] = [1.0 / 3.0, -1.0 / 45.0, 2.0 / 945.0, -1.0 / 4725.0];

impl Graph<'_> {
    /// Adds the mean, called `images`, of the output of the last node.
    pub(super) fn mean(&mut self, images: &str) {
        const OUTPUT: &str = "output.linear";
        self.rename_last(OUTPUT);
        match self.config.likelihood {
            Likelihood::Bernoulli => {
                self.node("Sigmoid", &[OUTPUT], images);
            }
            Likelihood::ContinuousBernoulli => self.continuous_bernoulli(OUTPUT, images),
            Likelihood::Poisson | Likelihood::NegativeBinomial(_) => {
                self.constant("mean.max_log", Likelihood::MAX_LOG_MEAN as f32);
                self.node("Min", &[OUTPUT, "mean.max_log"], "mean.log");
                self.node("Exp", &["mean.log"], images);
            }
            Likelihood::DiscretizedLogistic(_) => self.discretized_logistic(OUTPUT, images),
            Likelihood::Gaussian(_) | Likelihood::Laplace(_) => self.rename_last(images),
        }
    }

    /// `s (ln(1 + exp(o / s)) - ln(1 + exp((o - 1) / s)))`, whose `s` is one number or one for each pixel.
    fn discretized_logistic(&mut self, o: &str, images: &str) {
        let spread = self.weights.spread(self.config);
        let spread: Vec<f32> = spread.into_iter().map(|spread| spread as f32).collect();
        self.tensor("mean.spread", &[spread.len()], &spread);
        self.constant("mean.white", 1.0);
        self.node("Sub", &[o, "mean.white"], "mean.beyond");
        for [from, scaled, chance] in [
            [o, "mean.scaled.0", "mean.above.0"],
            ["mean.beyond", "mean.scaled.1", "mean.above.1"],
        ] {
            self.node("Div", &[from, "mean.spread"], scaled);
            self.node("Softplus", &[scaled], chance);
        }
        self.node("Sub", &["mean.above.0", "mean.above.1"], "mean.between");
        self.node("Mul", &["mean.between", "mean.spread"], images);
    }

    /// `1 / (1 - exp(-l)) - 1 / l = (1 + coth t - 1 / t) / 2`, `t = l / 2`: the latter loses fewer digits near 0, and its series
    /// none.
    fn continuous_bernoulli(&mut self, l: &str, images: &str) {
        self.constant("mean.half", 0.5);
        self.node("Mul", &[l, "mean.half"], "mean.t");

        self.node("Tanh", &["mean.t"], "mean.tanh");
        self.node("Reciprocal", &["mean.tanh"], "mean.coth");
        self.node("Reciprocal", &["mean.t"], "mean.inverse");
        self.node("Sub", &["mean.coth", "mean.inverse"], "mean.far");

        self.node("Mul", &["mean.t", "mean.t"], "mean.square");
        let mut sum = "mean.term.3".to_owned();
        self.constant(&sum, LANGEVIN[3] as f32);
        for power in (0..3).rev() {
            let [term, product, next] =
                ["term", "product", "sum"].map(|part| format!("mean.{part}.{power}"));
            self.constant(&term, LANGEVIN[power] as f32);
            self.node("Mul", &[&sum, "mean.square"], &product);
            self.node("Add", &[&product, &term], &next);
            sum = next;
        }
        self.node("Mul", &["mean.t", &sum], "mean.near");

        self.constant("mean.limit", NEAR);
        self.node("Abs", &["mean.t"], "mean.size");
        self.node("Less", &["mean.size", "mean.limit"], "mean.is_near");
        self.node(
            "Where",
            &["mean.is_near", "mean.near", "mean.far"],
            "mean.langevin",
        );
        self.node("Mul", &["mean.langevin", "mean.half"], "mean.deviation");
        self.node("Add", &["mean.deviation", "mean.half"], images);
    }
}
