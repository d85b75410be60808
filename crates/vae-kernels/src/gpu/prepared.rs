//! Kernels ready to launch: pipelines made once for each text, bind groups once for each program and batch size.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use wgpu::util::DeviceExt;
use wgpu::{
    BindGroup, BindGroupLayout, Buffer, BufferUsages, ComputePass, ComputePipeline, Device,
    ShaderStages,
};

use super::adapter::Gpu;
use super::kernel::{Access, Kernel, Place};

/// Size and stride of a step's constants, bytes: WebGPU's largest alignment of a dynamic offset.
pub(super) const STEP_STRIDE: u32 = 256;

/// A kernel with everything bound but the step.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) stem: &'static str,
    pipeline: ComputePipeline,
    bindings: BindGroup,
    takes_step: bool,
    workgroups: [u32; 3],
}

impl Dispatch {
    /// Encodes the launch for the step in `slot` of `steps`.
    pub(super) fn encode(&self, pass: &mut ComputePass<'_>, steps: &BindGroup, slot: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        if self.takes_step {
            pass.set_bind_group(1, steps, &[slot as u32 * STEP_STRIDE]);
        }
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Makes dispatches from kernels.
#[derive(Debug)]
pub(super) struct Pipelines {
    device: Device,
    checks_shaders: bool,
    step_layout: BindGroupLayout,
    /// Pipelines by the kernel's whole text.
    made: HashMap<String, (ComputePipeline, BindGroupLayout)>,
}

impl Pipelines {
    pub(super) fn new(gpu: &Gpu) -> Self {
        let (device, _) = gpu.device_and_queue();
        let step_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("step"),
            entries: &[entry(0, wgpu::BufferBindingType::Uniform, true)],
        });
        Self {
            device: device.clone(),
            checks_shaders: gpu.checks_shaders(),
            step_layout,
            made: HashMap::new(),
        }
    }

    /// Bind group 1: one slot of `steps` at a time.
    pub(super) fn bind_steps(&self, steps: &Buffer) -> BindGroup {
        let slot = wgpu::BufferBinding {
            buffer: steps,
            offset: 0,
            size: wgpu::BufferSize::new(STEP_STRIDE.into()),
        };
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("step"),
            layout: &self.step_layout,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(slot),
            }],
        })
    }

    /// Compiles those of `kernels` that are not compiled yet, on all cores: a driver takes 10 to 100 ms for each.
    pub(super) fn make(&mut self, kernels: &[Kernel]) {
        let mut texts = HashSet::new();
        let new: Vec<&Kernel> = kernels
            .iter()
            .filter(|kernel| !self.made.contains_key(&kernel.source))
            .filter(|kernel| texts.insert(&kernel.source))
            .collect();
        let make = |kernel: &&Kernel| (kernel.source.clone(), self.pipeline(kernel));
        let made: Vec<_> = new.par_iter().map(make).collect();
        self.made.extend(made);
    }

    /// Binds a compiled kernel to what is at its places.
    pub(super) fn dispatch<'a>(
        &self,
        kernel: &Kernel,
        binding: impl Fn(Place) -> wgpu::BufferBinding<'a>,
    ) -> Dispatch {
        let (pipeline, layout) = &self.made[&kernel.source];
        let sizes = self
            .device
            .create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("sizes"),
                contents: bytemuck::bytes_of(&kernel.sizes),
                usage: BufferUsages::UNIFORM,
            });
        let sizes = sizes.as_entire_buffer_binding();
        let places = kernel.bindings.iter().map(|(_, place)| binding(*place));
        let entries: Vec<_> = (0..)
            .zip([sizes].into_iter().chain(places))
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer),
            })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.stem),
            layout,
            entries: &entries,
        });
        Dispatch {
            stem: kernel.stem,
            pipeline: pipeline.clone(),
            bindings,
            takes_step: kernel.takes_step,
            workgroups: kernel.workgroups,
        }
    }

    fn pipeline(&self, kernel: &Kernel) -> (ComputePipeline, BindGroupLayout) {
        let storage = |(access, _): &(Access, Place)| wgpu::BufferBindingType::Storage {
            read_only: *access == Access::Read,
        };
        let storages = kernel.bindings.iter().map(storage);
        let entries: Vec<_> = (0..)
            .zip(
                [wgpu::BufferBindingType::Uniform]
                    .into_iter()
                    .chain(storages),
            )
            .map(|(binding, ty)| entry(binding, ty, false))
            .collect();
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(kernel.stem),
                entries: &entries,
            });
        let mut groups = vec![Some(&layout)];
        groups.extend(kernel.takes_step.then_some(Some(&self.step_layout)));
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(kernel.stem),
                bind_group_layouts: &groups,
                immediate_size: 0,
            });
        let module = self.module(kernel);
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.stem),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
        (pipeline, layout)
    }

    #[expect(
        unsafe_code,
        reason = "the checks that wgpu adds to a shader cost a clamp for each access to workgroup memory and a 64-bit counter for each loop"
    )]
    fn module(&self, kernel: &Kernel) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(kernel.stem),
            source: wgpu::ShaderSource::Wgsl(kernel.source.as_str().into()),
        };
        if self.checks_shaders {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: every kernel is this crate's own text. Its loops count up to a size; its indices into workgroup memory lie
        // within what its constants declare, and those into buffers are guarded by the sizes that the buffers were made
        // for. The tests run every kernel with the checks on and get the same numbers.
        unsafe {
            self.device
                .create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}

const fn entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: None,
        },
        count: None,
    }
}
