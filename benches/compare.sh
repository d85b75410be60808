#!/usr/bin/env bash
# Training speed beside PyTorch's: the same networks and data, the two in turn, medians of several rounds.
#
#   VAE_GPU_MNIST=folder PYTHON=venv/bin/python benches/compare.sh [rounds]
#
# PYTHON needs torch; keep it in a virtual environment. Ours is `vae-gpu train --backend cpu`, with drawing of batches and
# losses; theirs is benches/peers/pytorch.py with the data in memory.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${VAE_GPU_MNIST:?names the folder with the full MNIST}" "${PYTHON:?names a Python with torch}"
rounds=${1:-5}
threads=$(nproc)
binary=${CARGO_TARGET_DIR:-target}/release/vae-gpu
cargo build --release --locked --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Images per second of the second epoch.
ours() { # hidden latent batch backend
  rm -rf "$work/run"
  "$binary" train --data "$VAE_GPU_MNIST" --hidden "$1" --latent "$2" --batch-size "$3" --optimizer adam \
    --backend "$4" --epochs 2 --out "$work/run" 2>&1 >/dev/null | awk '/^epoch   2/ { for (i = 2; i <= NF; i++) if ($i == "images/s") print $(i - 1) }'
}

theirs() { # hidden latent batch
  "$PYTHON" benches/peers/pytorch.py --data "$VAE_GPU_MNIST" --hidden "$1" --latent "$2" --batch "$3" --threads "$threads" | awk '{ print $1 }'
}

printf '%-26s %14s %14s %14s %8s %8s\n' network 'fused/cpu' pytorch burn/ndarray /pytorch /ndarray
for network in '256 2 100' '400 20 128' '400 20 1024'; do
  set -- $network
  for kind in fused pytorch ndarray; do : >"$work/$kind"; done
  for _ in $(seq "$rounds"); do
    ours "$@" cpu >>"$work/fused"
    theirs "$@" >>"$work/pytorch"
    ours "$@" ndarray >>"$work/ndarray"
  done
  fused=$(median <"$work/fused") pytorch=$(median <"$work/pytorch") ndarray=$(median <"$work/ndarray")
  printf '%-26s %14s %14s %14s %8.2f %8.2f\n' "784-$1-$2, batch $3" "$fused" "$pytorch" "$ndarray" \
    "$(awk "BEGIN { print $fused / $pytorch }")" "$(awk "BEGIN { print $fused / $ndarray }")"
done
