//! An optimizer's settings as the constants of one update.

use vae_kernels::program::{Rule, Update};
use vae_spec::{Optimizer, OptimizerConfig};

/// The constants of the `update`-th update, counted from 1.
pub(super) fn update(config: &OptimizerConfig, update: u64, lr: f32) -> Update {
    let OptimizerConfig {
        optimizer,
        weight_decay,
        momentum,
        eps,
        clip,
        ema,
    } = *config;
    let (decoupled, weight_decay) = match optimizer {
        Optimizer::Adamw => (weight_decay, 0.0),
        _ => (0.0, weight_decay),
    };
    let rule = match optimizer {
        Optimizer::Rmsprop => Rule::Rmsprop {
            lr,
            rho: OptimizerConfig::RMSPROP_RHO,
            eps,
        },
        Optimizer::Adam | Optimizer::Adamw | Optimizer::Amsgrad => {
            let [mean, square] = OptimizerConfig::adam_corrections(update);
            Rule::Adam {
                step_size: (f64::from(lr) / mean) as f32,
                root_correction: square.sqrt() as f32,
                beta1: OptimizerConfig::ADAM_BETA1,
                beta2: OptimizerConfig::ADAM_BETA2,
                eps,
                keep: 1.0 - lr * decoupled,
                is_amsgrad: optimizer == Optimizer::Amsgrad,
            }
        }
        Optimizer::Adagrad => Rule::Adagrad { lr, eps },
        Optimizer::Sgd => Rule::Sgd { lr, momentum },
    };
    Update {
        rule,
        clip,
        weight_decay,
        ema: ema.map(|_| config.ema_decay(update)),
    }
}
