//! The number of cores that a GPU is assumed to have, for dividing products among them.

/// The cores of a GPU: what NVIDIA calls streaming multiprocessors, others compute units or cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores(usize);

impl Cores {
    /// A discrete GPU: as many as an H100. No graphics API reports the number; large GPUs have 60 to 140.
    pub(crate) const LARGE: Self = Self(132);
    /// An integrated GPU.
    pub(crate) const SMALL: Self = Self(16);
    /// One core, so that small products take large tiles: for tests.
    pub(crate) const ONE: Self = Self(1);

    /// Number of the `workgroups` that the busiest core runs.
    pub(crate) const fn busiest(self, workgroups: usize) -> usize {
        workgroups.div_ceil(self.0)
    }
}
