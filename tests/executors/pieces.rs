//! Batches that are computed in pieces: the step of the whole, on both executors.

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor};
use vae_kernels::gpu::GpuExecutor;
use vae_kernels::program::Update;
use vae_spec::{Clip, Corruption};

use super::{Gathering, SGD, start, step, training};
use crate::common::{distance, gpu};

const ROWS: u32 = 13;

/// Losses and parameters after steps in pieces of `piece` rows; the rows of each are turned by `turn` places.
fn trained(executor: &mut dyn Executor, piece: usize, turn: usize) -> [Vec<f32>; 2] {
    let (program, _) = training(GATHERING);
    let update = Update {
        clip: Some(Clip::Norm(0.5)),
        ..Update::new(SGD)
    };
    for number in 0..40 {
        let mut rows: Vec<u32> = (0..ROWS).collect();
        rows.rotate_left(turn);
        let mut step = step(&program, number, rows, update);
        step.piece = piece;
        executor.train(step).expect("a working device");
    }
    let losses = executor.losses(true).expect("a working device");
    assert_eq!(losses.len(), 40);
    let losses = losses
        .iter()
        .flat_map(|step| [step.loss, step.terms[0], step.terms[1]]);
    let losses = losses.collect();
    [
        losses,
        executor.arena(Arena::Parameters).expect("a working device"),
    ]
}

const GATHERING: Gathering = Gathering {
    corruption: Some(Corruption::SaltPepper { probability: 0.4 }),
    ..Gathering::bytes(64, true)
};

fn on_cpu(piece: usize, turn: usize) -> [Vec<f32>; 2] {
    let (_, length) = training(GATHERING);
    let (images, row_bytes) = GATHERING.images();
    let mut cpu = Cpu::new(start(length), vec![vec![0.0; length]]);
    cpu.set_images(images, Vec::new(), row_bytes)
        .expect("memory");
    trained(&mut cpu, piece, turn)
}

/// The largest distance in tolerances: losses of about 50 nats are sums of 64 terms, rounded in another order.
fn worst(found: &[Vec<f32>; 2], expected: &[Vec<f32>; 2]) -> f32 {
    let each = found.iter().zip(expected).map(|(found, expected)| {
        distance(found, expected, |index| {
            1e-5 * (1.0 + expected[index].abs())
        })
    });
    each.fold(0.0, f32::max)
}

#[test]
fn a_batch_in_pieces_is_the_step_of_the_whole_on_both_executors() {
    let whole = on_cpu(ROWS as usize, 0);
    // Pieces of one row, and some whose last is smaller; more of them than steps that are submitted together.
    for piece in [1, 5, 12] {
        let worst_of_cpu = worst(&on_cpu(piece, 0), &whole);
        assert!(worst_of_cpu <= 1.0, "{piece} on the CPU: {worst_of_cpu}");
        let Some(gpu) = gpu() else { continue };
        let (images, row_bytes) = GATHERING.images();
        let length = start(training(GATHERING).1);
        let mut executor =
            GpuExecutor::new(gpu, &length, &[vec![0.0; length.len()]]).expect("a working device");
        executor
            .set_images(images, Vec::new(), row_bytes)
            .expect("memory");
        let worst = worst(&trained(&mut executor, piece, 0), &whole);
        assert!(worst <= 1.0, "{piece} on the GPU: {worst}");
    }
    // What is drawn for a row depends on its place in the batch, whatever the pieces.
    assert!(worst(&on_cpu(5, 1), &whole) > 10.0);
}
