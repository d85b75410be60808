// A decoder on the GPU through WebGPU: the kernels that the program itself runs, with their texts, one dispatch each.

// Bytes that a workgroup shares, as crates/vae-kernels/src/gpu/adapter.rs asks for; WebGPU promises half of it.
const WORKGROUP_STORAGE = 32768;

// Fails where the browser has no WebGPU or no adapter; or one that is software, which plain JavaScript always outruns, unless the
// page's address ends in #webgpu, as that of tests does.
export async function gpuDecoder(program, parameters) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("no adapter");
  if (adapter.info?.isFallbackAdapter && location.hash !== "#webgpu") throw new Error("the adapter is software");
  const device = await adapter.requestDevice({ requiredLimits: { maxComputeWorkgroupStorageSize: WORKGROUP_STORAGE } });
  const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = (bytes, usage) => device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 4) * 4), usage });
  const filled = (values, usage) => {
    const made = buffer(values.byteLength, usage | COPY_DST);
    device.queue.writeBuffer(made, 0, values);
    return made;
  };

  device.pushErrorScope("validation");
  const weights = filled(parameters, STORAGE);
  const matrices = program.columns.map((columns) => buffer(4 * columns, STORAGE | COPY_SRC | COPY_DST));
  const pipelines = new Map();
  const dispatches = program.kernels.map((kernel) => {
    const layouts = [{ type: "uniform" }].concat(
      kernel.bindings.map(({ is_written }) => ({ type: is_written ? "storage" : "read-only-storage" })),
    );
    const entries = layouts.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: type }));
    if (!pipelines.has(kernel.text)) {
      // Bindings that a text does not use have to be there, too: the layout cannot be left to the text.
      const layout = device.createBindGroupLayout({ entries });
      const module = device.createShaderModule({ code: kernel.text });
      const pipeline = device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      pipelines.set(kernel.text, { layout, pipeline });
    }
    const { layout, pipeline } = pipelines.get(kernel.text);
    const sizes = filled(new Uint32Array(kernel.sizes), UNIFORM);
    const bound = kernel.bindings.map(({ matrix }) => (matrix === null ? weights : matrices[matrix]));
    const group = device.createBindGroup({
      layout,
      entries: [sizes, ...bound].map((each, binding) => ({ binding, resource: { buffer: each } })),
    });
    return { pipeline, group, workgroups: kernel.workgroups };
  });
  const bytes = 4 * program.columns[program.output];
  const invalid = await device.popErrorScope();
  if (invalid) throw new Error(invalid.message);

  return async (z, label) => {
    device.queue.writeBuffer(matrices[program.input], 0, Float32Array.from(z));
    if (program.labels !== null) device.queue.writeBuffer(matrices[program.labels], 0, new Float32Array([label]));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, workgroups } of dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    const read = buffer(bytes, MAP_READ | COPY_DST);
    encoder.copyBufferToBuffer(matrices[program.output], 0, read, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const output = new Float32Array(read.getMappedRange().slice(0, bytes));
    read.destroy();
    return output;
  };
}
