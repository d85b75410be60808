//! How the processes of a group train one run: the first leads, which means that it alone decides, and writes the run folder; the
//! others follow its orders. A run alone whose batches have several pieces is a team of one.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use vae_data::Dataset;
use vae_device::Route;
use vae_kernels::cpu;
use vae_recipe::{OnDeviceLost, Recipe};
use vae_spec::{Engine, EngineError, Losses, ModelConfig, Part, Snapshot, Step, Wait, Weights};

use crate::TrainError;
use crate::group::{Alone, Group, Tree, add_up, agree, facts};

/// What the first process tells the others to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Open an engine at the state that follows: its weights, and so many moments.
    Open { moments: usize },
    /// Train on the batch of this index of an epoch.
    Step {
        epoch: usize,
        index: usize,
        step: Step,
    },
    /// Compute the losses and posteriors of the validation samples.
    Validate,
    /// The run has ended, maybe before its time.
    End { is_interrupted: bool },
}

/// A batch with its step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepBatch<'b> {
    /// Rows of the training set.
    pub(super) rows: &'b [u32],
    pub(super) step: &'b Step,
    /// Whether it is the last one of its epoch.
    pub(super) is_last: bool,
}

/// This process as one of those that train a run together.
#[derive(Debug)]
pub struct Team<'a> {
    pub(super) group: &'a dyn Group,
    /// Pieces of every batch, whose gradients are added up in an order of their own.
    pieces: usize,
    /// Number of parameters of the model.
    parameters: usize,
    /// Steps that each process takes alone between averages, if they do not add up the gradients of every step.
    local_steps: Option<u64>,
    /// Shares of the batches of the steps since the last average.
    apart: Vec<f64>,
    /// Buffers of gradients.
    spare: Vec<Vec<f32>>,
    received: Vec<f32>,
    /// Losses of the steps since they were last asked for.
    pub(super) losses: Vec<Losses>,
    /// Whether any process was asked to stop.
    pub(super) is_stop_wanted: bool,
}

impl<'a> Team<'a> {
    /// The processes of `group`, which all call this with what they have been given.
    ///
    /// # Errors
    /// If their number does not divide that of the pieces of a batch, or one has another program, other settings, other data or
    /// another engine.
    pub fn form(
        group: &'a dyn Group,
        recipe: &Recipe,
        dataset: &Dataset,
        route: &Route,
    ) -> Result<Self, TrainError> {
        let own = [
            ("version of vae-gpu", env!("CARGO_PKG_VERSION").to_owned()),
            ("fingerprint of the data", dataset.fingerprint.clone()),
            ("engine", route.to_string()),
        ];
        let mut all = own.map(|(what, here)| (what.to_owned(), here)).to_vec();
        all.extend(facts(recipe).map_err(garbled)?);
        agree(group, &all)?;
        let rows = recipe.effective_batch_size().min(dataset.train.count());
        if rows < group.size() {
            return Err(TrainError::Group(format!(
                "expected batches of at least {}, a sample for each process, found {rows}; start fewer processes",
                group.size()
            )));
        }
        Self::new(group, recipe)
    }

    /// One process, which computes all pieces of a batch.
    pub(super) fn alone(recipe: &Recipe) -> Result<Self, TrainError> {
        Self::new(&Alone, recipe)
    }

    fn new(group: &'a dyn Group, recipe: &Recipe) -> Result<Self, TrainError> {
        let (processes, pieces) = (group.size(), recipe.pieces);
        if !pieces.is_multiple_of(processes) {
            return Err(TrainError::Pieces { pieces, processes });
        }
        if recipe.local_steps.is_some() && pieces != processes {
            return Err(TrainError::Group(format!(
                "expected {pieces} processes, found {processes}: with local_steps each trains weights of its own, so a run goes on \
                 with as many as it was started with"
            )));
        }
        if processes > 1 && recipe.on_device_lost == OnDeviceLost::Cpu {
            return Err(TrainError::Group(
                "on_device_lost: expected stop where several processes train together, found cpu: the others wait for the one whose \
                 device is lost, so all end, and --resume goes on"
                    .to_owned(),
            ));
        }
        Ok(Self {
            group,
            pieces,
            parameters: recipe.model().parameter_count(),
            local_steps: recipe.local_steps,
            apart: Vec::new(),
            spare: Vec::new(),
            received: Vec::new(),
            losses: Vec::new(),
            is_stop_wanted: false,
        })
    }

    /// Gives an order, as the first process, or receives it.
    fn order(&self, order: Option<Order>) -> Result<Order, TrainError> {
        let mut bytes = Vec::new();
        if let Some(order) = order {
            bytes = serde_json::to_vec(&order).map_err(garbled)?;
        }
        self.group.broadcast(&mut bytes);
        serde_json::from_slice(&bytes).map_err(garbled)
    }

    pub(super) fn give(&self, order: Order) -> Result<(), TrainError> {
        self.order(Some(order)).map(|_| ())
    }

    pub(super) fn receive(&self) -> Result<Order, TrainError> {
        self.order(None)
    }

    /// Lets the others open engines at `snapshot`, as this process does.
    pub(super) fn open(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.forget();
        let Snapshot { weights, moments } = snapshot;
        self.give(Order::Open {
            moments: moments.len(),
        })?;
        let tensors = [weights].into_iter().chain(moments);
        let values: Vec<f32> = tensors.flat_map(Weights::to_flat).collect();
        self.group
            .broadcast(&mut bytemuck::cast_slice(&values).to_vec());
        Ok(())
    }

    /// The state that the first process opens an engine at.
    pub(super) fn receive_state(&mut self, model: &ModelConfig, moments: usize) -> Snapshot {
        self.forget();
        let mut bytes = Vec::new();
        self.group.broadcast(&mut bytes);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let mut tensors = values.chunks(model.parameter_count());
        let mut next = || Weights::from_flat(model, tensors.next().unwrap_or_default());
        Snapshot {
            weights: next(),
            moments: (0..moments).map(|_| next()).collect(),
        }
    }

    /// Forgets the steps of the engine before.
    fn forget(&mut self) {
        self.losses.clear();
        self.apart.clear();
    }

    /// The places of a batch of so many rows that this process computes.
    pub(super) fn share(&self, rows: usize) -> Range<usize> {
        let pieces = self.pieces();
        self.bound(rows, pieces.start)..self.bound(rows, pieces.end)
    }

    /// The pieces that this process computes.
    fn pieces(&self) -> Range<usize> {
        let share = self.pieces / self.group.size();
        let first = share * self.group.rank();
        first..first + share
    }

    /// Where a piece begins in a batch of so many rows.
    const fn bound(&self, rows: usize, piece: usize) -> usize {
        rows * piece / self.pieces
    }

    /// Trains on the batch at `rows`, of which each process computes its pieces; a process that was asked to stop says so.
    pub(super) fn step(
        &mut self,
        engine: &mut dyn Engine,
        batch: StepBatch<'_>,
        is_stop_wanted: bool,
    ) -> Result<(), EngineError> {
        let StepBatch {
            rows,
            step,
            is_last,
        } = batch;
        let Some(every) = self.local_steps else {
            return self.step_together(engine, rows, step, is_stop_wanted);
        };
        let share = self.share(rows.len());
        self.apart.push(share.len() as f64 / rows.len() as f64);
        if !share.is_empty() {
            // The mean is that of the process's own rows.
            let part = Part {
                rows: &rows[share.clone()],
                first: share.start,
                batch: share.len(),
            };
            engine.train_on_part(part, step)?;
        }
        if is_last || (step.number + 1).is_multiple_of(every) {
            self.average(engine, is_stop_wanted)?;
        }
        Ok(())
    }

    /// Whether all processes have the same weights.
    pub(super) const fn is_together(&self) -> bool {
        self.apart.is_empty()
    }

    /// Averages the weights and the optimizer's state of all processes, and adds up the losses of the steps since the last average.
    fn average(
        &mut self,
        engine: &mut dyn Engine,
        is_stop_wanted: bool,
    ) -> Result<(), EngineError> {
        let mut known = engine.take_losses(Wait::ForAll)?.into_iter();
        let mut numbers = engine.numbers()?;
        let count = numbers.len();
        for share in self.apart.drain(..) {
            let losses = if share > 0.0 { known.next() } else { None };
            let losses = losses.map_or([0.0; Losses::TERMS], Losses::to_array);
            numbers.extend(losses.map(|loss| (share * loss) as f32));
        }
        numbers.push(vote(is_stop_wanted));
        let mut tree = Tree::default();
        tree.push(self.group.rank(), numbers, |_, _| {});
        let mut sum = add_up(self.group, self.pieces, tree, &mut self.received);
        let part = 1.0 / self.group.size() as f32;
        sum[..count].iter_mut().for_each(|number| *number *= part);
        engine.set_numbers(&sum[..count])?;
        self.note(&sum[count..]);
        Ok(())
    }

    /// Keeps the losses of some steps, and whether a process was asked to stop.
    fn note(&mut self, sums: &[f32]) {
        let (steps, stops) = sums.as_chunks::<{ Losses::TERMS }>();
        let losses = steps
            .iter()
            .map(|step| Losses::from_array(step.map(f64::from)));
        self.losses.extend(losses);
        self.is_stop_wanted |= stops.iter().any(|&stop| stop > 0.0);
    }

    fn step_together(
        &mut self,
        engine: &mut dyn Engine,
        rows: &[u32],
        step: &Step,
        is_stop_wanted: bool,
    ) -> Result<(), EngineError> {
        let mut tree = Tree::default();
        for piece in self.pieces() {
            let first = self.bound(rows.len(), piece);
            let part = Part {
                rows: &rows[first..self.bound(rows.len(), piece + 1)],
                first,
                batch: rows.len(),
            };
            let mut values = self.spare.pop().unwrap_or_default();
            let losses = if part.rows.is_empty() {
                values.clear();
                values.resize(self.parameters, 0.0);
                [0.0; Losses::TERMS]
            } else {
                engine.part_gradients(part, step, &mut values)?.to_array()
            };
            // What else is to be added up travels with the gradients.
            values.reserve_exact(losses.len() + 1);
            values.extend(losses.map(|loss| loss as f32));
            values.push(vote(is_stop_wanted));
            tree.push(piece, values, |sum, values| {
                cpu::add(sum, &values);
                self.spare.push(values);
            });
        }
        let mut sum = add_up(self.group, self.pieces, tree, &mut self.received);
        self.note(&sum[self.parameters..]);
        sum.truncate(self.parameters);
        engine.update(&mut sum, step)?;
        self.spare.push(sum);
        Ok(())
    }
}

/// What stands for a wish to stop among numbers that are added up.
fn vote(is_stop_wanted: bool) -> f32 {
    f32::from(u8::from(is_stop_wanted))
}

fn garbled(error: serde_json::Error) -> TrainError {
    TrainError::Group(format!("an order of the first process is garbled: {error}"))
}
