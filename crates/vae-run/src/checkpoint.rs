//! Named tensors as safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use vae_spec::NamedTensor;

use crate::RunError;

/// Metadata in a file's header.
pub(crate) type Metadata = HashMap<String, String>;

/// Encodes `tensors` as a safetensors file with `metadata` in its header.
pub(crate) fn encode(tensors: &[NamedTensor], metadata: Metadata) -> Result<Vec<u8>, RunError> {
    let damaged = |error: safetensors::SafeTensorError| {
        RunError::damaged(
            Path::new("safetensors"),
            format!("cannot be encoded: {error}"),
        )
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| little_endian(&tensor.values))
        .collect();
    let mut views = Vec::new();
    for (tensor, bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(damaged)?;
        views.push((tensor.name.as_str(), view));
    }
    let file = safetensors::serialize(views, Some(metadata)).map_err(damaged)?;
    Ok(with_sorted_header(&file).unwrap_or(file))
}

/// The same file with the keys of its header in order, so that equal runs write equal files; `None` if it is none.
fn with_sorted_header(file: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = file.split_first_chunk()?;
    let (header, data) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let entries = header.into_iter().map(|(key, value)| match value {
        serde_json::Value::Object(entries) => {
            let sorted: BTreeMap<_, _> = entries.into_iter().collect();
            Some((key, sorted))
        }
        _ => None,
    });
    let sorted: BTreeMap<_, _> = entries.collect::<Option<_>>()?;
    let mut header = serde_json::to_vec(&sorted).ok()?;
    // Data begin at a whole number.
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Some([&length[..], &header, data].concat())
}

/// Decodes the tensors and metadata of a safetensors file; `path` is named in errors.
pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<(Vec<NamedTensor>, Metadata), RunError> {
    let damaged = |what: String| RunError::damaged(path, what);
    let broken = |error| {
        damaged(format!(
            "not a safetensors file, or a truncated one: {error}"
        ))
    };
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!(
                "tensor `{name}`: expected F32, found {:?}",
                view.dtype()
            )));
        }
        let values = view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect();
        Ok(NamedTensor {
            name,
            shape: view.shape().to_vec(),
            values,
        })
    };
    let tensors: Result<Vec<_>, _> = file.tensors().into_iter().map(tensor).collect();
    Ok((tensors?, metadata))
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
