//! How many cores a GPU has, as far as anybody can tell, for products to be cut up for them.

/// The cores of a GPU: what NVIDIA calls streaming multiprocessors, others compute units or cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores(usize);

impl Cores {
    /// Of a GPU in a card of its own: an H100's. No graphics interface tells; large ones have 60 to 140.
    pub(crate) const LARGE: Self = Self(132);
    /// Of a GPU in a processor.
    pub(crate) const SMALL: Self = Self(16);
    /// So that small products take large tiles: for tests.
    pub(crate) const ONE: Self = Self(1);

    /// How many of so many workgroups the busiest core does.
    pub(crate) const fn busiest(self, workgroups: usize) -> usize {
        workgroups.div_ceil(self.0)
    }
}
