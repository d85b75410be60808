//! What a run starts from: weights, an engine, batches that fit.

use vae_data::Images;
use vae_device::{Device, Route};
use vae_infer::EVALUATION_BATCH;
use vae_recipe::{Binarize, OutputBias, Preprocessing, PriorText, Recipe};
use vae_rng::{Generator, Stream};
use vae_spec::{DataStart, Engine, ObjectiveKind, Snapshot, Spread, TrainingImages, Weights};

use crate::TrainError;

/// Fresh weights, with what `train`, the training images as the model sees them, say of them.
pub(super) fn initial_weights(recipe: &Recipe, train: &Images) -> Weights {
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
    let data = data_start(train, shown, recipe.seed);
    weights.start_from(&model, &data);
    if starts_at_data {
        weights.start_output_from(&model, &data);
    }
    weights
}

/// Mean and deviation of each pixel, and `shown` of the images, drawn.
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

/// An engine that goes on from `snapshot` with the images `train`, as it sees them.
pub(super) fn prepare(
    recipe: &Recipe,
    preprocessing: &Preprocessing,
    train: &Images,
    device: &Device,
    Snapshot { weights, moments }: &Snapshot,
) -> Result<Box<dyn Engine>, TrainError> {
    let model = recipe.model();
    let setup = vae_spec::EngineSetup {
        moments,
        ..recipe.setup(&model, weights)
    };
    let route = device.route(recipe.engine, &model, &setup.objective, &setup.optimizer)?;
    // The fused engine takes what is accumulated in one piece.
    let step = match route {
        Route::Fused => recipe.step_size(),
        Route::Burn { .. } => recipe.batch_size,
    };
    let batch = step.min(train.count()).max(evaluation_batch(recipe));
    let mut engine = device.engine(&setup, recipe.engine, batch)?;
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

/// Images per call of an evaluation, each of which is decoded as often as the objective draws. Objectives that compare the
/// images of a batch depend on how many these are: as many as in training.
pub(super) fn evaluation_batch(recipe: &Recipe) -> usize {
    let objective = recipe.objective();
    match objective.kind {
        ObjectiveKind::BetaTc | ObjectiveKind::Mmd { .. } => recipe.batch_size,
        _ => (EVALUATION_BATCH / objective.samples).max(1),
    }
}

/// The device and the engine, in words.
pub(super) fn computed_by(recipe: &Recipe, device: &Device) -> Result<String, TrainError> {
    let model = recipe.model();
    let route = device.route(
        recipe.engine,
        &model,
        &recipe.objective(),
        &recipe.optimizer_config(),
    )?;
    Ok(format!("{device}; engine: {route}"))
}
