//! Loops compiled for the vectors of the processor at hand.

use pulp::{Arch, NullaryFnOnce};

/// Runs `work`, a closure that is `#[inline(always)]`, as compiled for this processor's widest vectors. The numbers do not depend on
/// them: nothing is summed in another order, nor multiplied and added in one step.
#[inline(always)]
pub(super) fn vectorized<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}

/// Called through `FnMut`: as `FnOnce`, which `dispatch` takes, a closure is called by a function of its own, and where that is too long to
/// be inlined it is compiled for the oldest processors. (Closures that give away what they capture, as the optimizer's, have no such
/// function.)
struct Work<F>(F);

impl<F: FnMut() -> R, R> NullaryFnOnce for Work<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}
