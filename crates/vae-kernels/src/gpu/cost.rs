//! How many cores a GPU has, as far as anybody can tell, for products to be cut up for them.

/// The cores of a GPU: what NVIDIA calls streaming multiprocessors, others compute units or cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores(usize);

impl Cores {
    /// Of a GPU in a card of its own. No graphics interface tells; large ones have 60 to 140.
    pub(crate) const LARGE: Self = Self(128);
    /// Of a GPU in a processor.
    pub(crate) const SMALL: Self = Self(16);
    /// So that small products take large tiles: for tests.
    pub(crate) const ONE: Self = Self(1);

    /// How many of so many workgroups are there for each core.
    pub(crate) fn even_share(self, workgroups: usize) -> f64 {
        workgroups as f64 / self.0 as f64
    }

    /// How many of so many workgroups a core does one after the other: between an even share and that of the busiest core, for
    /// those that a core runs at a time help each other over their waits.
    pub(crate) fn share(self, workgroups: usize) -> f64 {
        let even = self.even_share(workgroups);
        let busiest = workgroups.div_ceil(self.0) as f64;
        (0.5 * (even + busiest)).max(1.0)
    }
}
