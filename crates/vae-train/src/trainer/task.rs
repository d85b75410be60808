//! The task of a run: a recipe on its device, with the preprocessed data.

use vae_data::{Dataset, Images};
use vae_device::{Device, Route};
use vae_infer::EVALUATION_BATCH;
use vae_recipe::{Binarize, OutputBias, Preprocessing, PriorText, Recipe};
use vae_rng::{Generator, Stream};
use vae_spec::{
    DataStart, Engine, EngineSetup, ObjectiveKind, Snapshot, Spread, TrainingImages, Weights,
};

use crate::{TrainError, memory};

/// A recipe with its device and its preprocessed data.
pub(super) struct Task<'a> {
    pub(super) recipe: &'a Recipe,
    device: &'a Device,
    /// The CPU, once it has taken over.
    cpu: Option<Device>,
    /// Engine used for training.
    route: Route,
    pub(super) preprocessing: Preprocessing,
    /// Preprocessed training samples.
    pub(super) train: Images,
    /// Preprocessed validation samples.
    pub(super) validation: Images,
    pub(super) validation_labels: Vec<u32>,
    /// What is to be said before training.
    pub(super) notices: Vec<String>,
}

impl<'a> Task<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        dataset: &Dataset,
        device: &'a Device,
    ) -> Result<Self, TrainError> {
        let route = device.route(recipe.engine, &recipe.model(), &recipe.optimizer_config())?;
        memory::check(recipe, dataset, device, &route)?;
        let preprocessing = Preprocessing::fit(recipe, dataset)?;
        let validation = preprocessing.evaluation_images(&dataset.validation)?;
        Ok(Self {
            recipe,
            device,
            cpu: None,
            route,
            notices: preprocessing
                .clipped(&dataset.validation)?
                .into_iter()
                .collect(),
            train: preprocessing.training_images(&dataset.train)?,
            validation_labels: preprocessing.labels(&validation)?,
            validation,
            preprocessing,
        })
    }

    /// Shuffled order of the training samples in an epoch.
    pub(super) fn order(&self, epoch: usize) -> Vec<u32> {
        Generator::new(self.recipe.seed, Stream::Shuffle)
            .permutation(epoch as u64, self.train.count() as u32)
    }

    /// Array rows of the training samples at `places`.
    pub(super) fn dataset_rows(&self, places: &[u32]) -> Vec<u32> {
        let rows = places.iter().map(|&place| self.train.rows[place as usize]);
        rows.collect()
    }

    /// What computes.
    pub(super) fn device(&self) -> &Device {
        self.cpu.as_ref().unwrap_or(self.device)
    }

    /// The CPU takes over.
    pub(super) fn go_on_with(&mut self, cpu: Device) {
        self.cpu = Some(cpu);
        self.route = Route::Fused;
    }

    /// Initial weights, where needed set from the training samples.
    pub(super) fn initial_weights(&self) -> Weights {
        let recipe = self.recipe;
        let model = recipe.model();
        let mut weights = Weights::initial(&model, recipe.seed);
        let learns_spread = matches!(
            model.likelihood.spread(),
            Some(Spread::Learned | Spread::PerDimension)
        );
        let starts_at_data = recipe.output_bias == OutputBias::Data;
        let shown = match recipe.prior {
            PriorText::Vamp(inputs) => inputs,
            PriorText::Normal | PriorText::Mixture(_) => 0,
        };
        if !(learns_spread || starts_at_data || shown > 0) {
            return weights;
        }
        let data = data_start(&self.train, shown, recipe.seed);
        weights.start_from(&model, &data);
        if starts_at_data {
            weights.start_output_from(&model, &data);
        }
        weights
    }

    /// An engine at `snapshot`, with the training samples loaded.
    pub(super) fn engine(&self, snapshot: &Snapshot) -> Result<Box<dyn Engine>, TrainError> {
        let Self {
            recipe,
            preprocessing,
            train,
            ..
        } = self;
        let model = recipe.model();
        let setup = EngineSetup {
            moments: &snapshot.moments,
            ..recipe.setup(&model, &snapshot.weights)
        };
        // The fused engine computes all micro-batches of a step together.
        let at_once = match self.route {
            Route::Fused => recipe.effective_batch_size(),
            Route::Burn { .. } => recipe.batch_size,
        };
        let batch = at_once.min(train.count()).max(self.evaluation_batch());
        let mut engine = self.device().engine(&setup, &self.route, batch)?;
        let mut labels = Vec::new();
        if !recipe.classes.is_empty() {
            labels.resize(train.array.rows(), 0);
            for (&row, class) in train.rows.iter().zip(preprocessing.labels(train)?) {
                labels[row as usize] = class;
            }
        }
        engine.train_on(TrainingImages {
            bytes: train.array.pixels.clone(),
            element: train.array.element,
            labels,
            count: train.count(),
            binarize: recipe.binarize == Binarize::Dynamic,
            corruption: preprocessing.corruption(train)?,
        })?;
        Ok(engine)
    }

    /// Batch size for evaluation; each sample is decoded once per latent draw of the objective. Objectives that compare the
    /// samples of a batch depend on its size, so they use that of training.
    pub(super) fn evaluation_batch(&self) -> usize {
        let objective = self.recipe.objective();
        match objective.kind {
            ObjectiveKind::BetaTc | ObjectiveKind::Mmd { .. } => self.recipe.batch_size,
            _ => (EVALUATION_BATCH / objective.samples).max(1),
        }
    }

    /// Description of the device and the engine.
    pub(super) fn computed_by(&self) -> String {
        format!("{}; engine: {}", self.device(), self.route)
    }
}

/// Mean and standard deviation of each pixel, and `shown` randomly chosen samples.
fn data_start(train: &Images, shown: usize, seed: u64) -> DataStart {
    let count = train.count() as f64;
    let mut sums = vec![[0.0; 2]; train.image_length()];
    train.each(|_, values| {
        for ([sum, squares], &x) in sums.iter_mut().zip(values) {
            *sum += f64::from(x);
            *squares += f64::from(x) * f64::from(x);
        }
    });
    let moments = sums.iter().map(|[sum, squares]| {
        let mean = sum / count;
        (
            mean as f32,
            (squares / count - mean * mean).max(0.0).sqrt() as f32,
        )
    });
    let (means, deviations) = moments.unzip();
    let order = Generator::new(seed, Stream::Init).permutation(u64::MAX, train.count() as u32);
    let places: Vec<u32> = order.into_iter().cycle().take(shown).collect();
    DataStart {
        means,
        deviations,
        images: train.gather(&places),
    }
}
