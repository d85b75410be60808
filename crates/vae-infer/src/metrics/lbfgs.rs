//! Minimisation of smooth convex functions of some hundred variables: limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.5).

/// Steps that the curvature is estimated from.
const MEMORY: usize = 10;
const MOST_STEPS: usize = 500;
/// Norm of the gradient at which the minimum is found.
const SMALL: f64 = 1e-8;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The minimum of `function`, which returns its value and gradient, from `x` on.
pub(super) fn minimum(mut x: Vec<f64>, function: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let (mut value, mut gradient) = function(&x);
    // Steps with the changes of the gradient over them.
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..MOST_STEPS {
        if dot(&gradient, &gradient).sqrt() < SMALL {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut length = 1.0;
        let next = loop {
            let at: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + length * d)
                .collect();
            let (there, gradient) = function(&at);
            if there <= value + 1e-4 * length * slope {
                break Some((at, there, gradient));
            }
            length *= 0.5;
            if length < 1e-12 {
                break None;
            }
        };
        // Rounding hides what is left.
        let Some((at, there, new)) = next else { break };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let step: Vec<f64> = difference(&at, &x);
        let change: Vec<f64> = difference(&new, &gradient);
        if dot(&step, &change) > 0.0 {
            memory.push((step, change));
            if memory.len() > MEMORY {
                memory.remove(0);
            }
        }
        (x, value, gradient) = (at, there, new);
    }
    x
}

/// Minus the gradient, times the estimate of the inverse of the curvature.
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut factors = Vec::new();
    let add = |q: &mut [f64], factor: f64, other: &[f64]| {
        q.iter_mut().zip(other).for_each(|(q, y)| *q += factor * y);
    };
    for (step, change) in memory.iter().rev() {
        let factor = dot(step, &q) / dot(step, change);
        add(&mut q, -factor, change);
        factors.push(factor);
    }
    if let Some((step, change)) = memory.last() {
        let scale = dot(step, change) / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change), factor) in memory.iter().zip(factors.iter().rev()) {
        let of_change = dot(change, &q) / dot(step, change);
        add(&mut q, factor - of_change, step);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}
