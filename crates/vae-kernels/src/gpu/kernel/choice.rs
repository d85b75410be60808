//! A kernel as plain data, and the choices in its text.

use crate::gpu::source::Source;
use crate::gpu::tile::Tile;
use crate::program::{Layer, MatrixId, Slope, Touched};

use super::function;

/// The buffer behind a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gpu) enum Place {
    Matrix(MatrixId),
    Parameters,
    Gradients,
    Accumulated,
    Moments,
    Images,
    Labels,
    Rows,
    Losses,
    SquareSums,
}

/// Access of a kernel to a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gpu) enum Access {
    Read,
    Write,
}

/// A kernel, which is one dispatch.
#[derive(Debug)]
pub(in crate::gpu) struct Kernel {
    pub(in crate::gpu) stem: &'static str,
    pub(in crate::gpu) source: String,
    /// Sizes, the uniform of binding 0.
    pub(in crate::gpu) sizes: [u32; 4],
    /// Buffers of binding 1 and on.
    pub(in crate::gpu) bindings: Vec<(Access, Place)>,
    /// Whether group 1, the step's constants, is bound.
    pub(in crate::gpu) takes_step: bool,
    pub(in crate::gpu) workgroups: [u32; 3],
}

impl Kernel {
    /// The matrices that it reads and writes.
    pub(in crate::gpu) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for &(access, place) in &self.bindings {
            if let Place::Matrix(matrix) = place {
                match access {
                    Access::Read => touched.read.push(matrix),
                    Access::Write => touched.written.push(matrix),
                }
            }
        }
        touched
    }
}

/// The text of a kernel, with the values and flags that are filled in.
pub(in crate::gpu) struct Choice {
    source: &'static Source,
    pub(in crate::gpu) values: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
}

impl Choice {
    pub(in crate::gpu) fn plain(source: &'static Source) -> Self {
        Self {
            source,
            values: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// A product of a layer, in tiles; `is_wide` where the rows of all that it binds are whole vec4s.
    pub(super) fn product(
        source: &'static Source,
        layer: Layer,
        tile: Tile,
        is_wide: bool,
    ) -> Self {
        let layer = [
            ("blocks", layer.blocks),
            ("inputs", layer.inputs),
            ("outputs", layer.outputs),
            ("offset", layer.offset),
        ];
        let layer = layer.map(|(name, value)| (name, value.to_string()));
        Self {
            values: tile.values(1).into_iter().chain(layer).collect(),
            ..Self::plain(source).width(is_wide)
        }
    }

    /// Flags for whether the rows of all that it binds are whole vec4s.
    pub(in crate::gpu) fn width(self, is_wide: bool) -> Self {
        self.flag("wide", is_wide).flag("narrow", !is_wide)
    }

    /// Flags for a kernel with a slope, or without one.
    pub(super) fn slope(self, is_wide: bool, has_slope: bool) -> Self {
        self.flag("wide_slope", is_wide && has_slope)
            .flag("wide_plain", is_wide && !has_slope)
            .flag("narrow_slope", !is_wide && has_slope)
    }

    /// What `shaders/step/slope.wgsl` makes the slope of.
    pub(in crate::gpu) fn slope_of(self, slope: Option<Slope>) -> Self {
        let activation = slope.and_then(Slope::activation);
        let kept = activation.map_or("kept", |activation| function(Some(activation)));
        self.with("slope", kept.into())
    }

    pub(in crate::gpu) fn with(mut self, name: &'static str, value: String) -> Self {
        self.values.push((name, value));
        self
    }

    pub(in crate::gpu) fn flag(self, flag: &'static str, is_set: bool) -> Self {
        if is_set { self.flags(&[flag]) } else { self }
    }

    pub(in crate::gpu) fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    pub(in crate::gpu) fn kernel(
        self,
        stem: &'static str,
        sizes: [usize; 4],
        bindings: Vec<(Access, Place)>,
        [x, y]: [usize; 2],
    ) -> Kernel {
        self.kernel_in_parts(stem, sizes, bindings, [x, y, 1])
    }

    pub(in crate::gpu) fn kernel_in_parts(
        self,
        stem: &'static str,
        sizes: [usize; 4],
        bindings: Vec<(Access, Place)>,
        workgroups: [usize; 3],
    ) -> Kernel {
        Kernel {
            stem,
            source: self.source.complete(&self.values, &self.flags),
            sizes: sizes.map(|size| size as u32),
            bindings,
            takes_step: self.source.takes_step(),
            workgroups: workgroups.map(|count| count as u32),
        }
    }
}
