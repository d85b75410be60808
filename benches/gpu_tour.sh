#!/usr/bin/env bash
# The whole tour of a GPU in one call: is it right, how fast is it, where does the time go, who is faster. Every part has a
# limit of time and says so if it fails; the rest goes on.
#
#   benches/gpu_tour.sh                            builds with cargo, trains on the built-in digits
#   VAE_GPU_MNIST=folder PYTHON=python3            trains on the full MNIST, beside PyTorch and JAX on the same GPU
#   benches/gpu_tour.sh pack folder                packs the programs, for a machine without Rust
#   BIN=folder                                     takes the programs from there, packed or not
#   NETWORKS='256 2 100;400 20 128'                hidden, latent and batch of each network
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
programs='vae-gpu suite passes sample_kl first_step'

build() { # folder
  local list
  list=$(mktemp)
  mkdir -p "$1"
  cargo build --release --locked && cp "${CARGO_TARGET_DIR:-target}/release/vae-gpu" "$1/"
  cargo test --release --locked --test suite --no-run 2>&1 | tee "$list"
  cargo bench --locked --no-run 2>&1 | tee -a "$list"
  for name in ${programs#vae-gpu}; do
    cp "$(sed -n "s/.*(\(.*\/$name-[0-9a-f]*\))/\1/p" "$list" | tail -n 1)" "$1/$name"
  done
  strip "$1"/*
  rm "$list"
}

if [ "${1:-}" = pack ]; then
  build "${2:?names the folder for the programs}"
  xz -1 -f "$2"/*
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${BIN:-}" ]; then
  build "$work/bin"
else
  mkdir "$work/bin"
  for name in $programs; do
    if [ -e "$BIN/$name.xz" ]; then xz -dc "$BIN/$name.xz" >"$work/bin/$name"; else cp "$BIN/$name" "$work/bin/"; fi
  done
  chmod +x "$work/bin"/*
fi
bin=$work/bin
data=${VAE_GPU_MNIST:-digits}
networks=${NETWORKS:-256 2 100;400 20 128;400 20 1024;400 20 8192}
start=$(date +%s)

# Runs a part of the tour for at most so many seconds.
part() { # seconds title command...
  local seconds=$1 title=$2
  shift 2
  echo "== $title (after $(($(date +%s) - start)) s)"
  timeout "$seconds" "$@" 2>"$work/error"
  local code=$?
  [ $code = 0 ] || { echo "FAILED with $code:"; tail -n 5 "$work/error"; }
}

part 20 device "$bin/vae-gpu" devices

parity() {
  VAE_GPU_TESTS=require "$bin/suite" random:: sample_kl:: passes:: bottleneck:: executors:: gradients:: importance:: networks:: training:: >"$work/suite" 2>&1
  local code=$?
  [ $code = 0 ] || grep -A 8 -E '^failures|panicked' "$work/suite"
  tail -n 2 "$work/suite"
  return $code
}
export -f parity
export bin work
part 90 "parity with the CPU" bash -c parity

first_step() {
  for _ in cold warm; do
    MESA_SHADER_CACHE_DIR="$work/cache" __GL_SHADER_DISK_CACHE_PATH="$work/cache" XDG_CACHE_HOME="$work/cache" \
      "$bin/first_step" --bench 2>/dev/null | grep -v ^cpu
  done
}
export -f first_step
part 20 "to the first step, shader caches empty, then full" bash -c first_step

part 60 "launches, and each kernel by timestamps" "$bin/passes" --bench wgpu

median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }
# Images per second, the median of all epochs but the first.
ours() { # epochs options...
  local epochs=$1
  shift
  rm -rf "$work/run"
  "$bin/vae-gpu" train --data "$data" "$@" --backend wgpu --epochs "$epochs" --out "$work/run" 2>&1 >/dev/null |
    awk '/^epoch/ && $2 > 1 { for (i = 2; i <= NF; i++) if ($i == "images/s") print $(i - 1) }' | median
}
all_of_ours() {
  while read -r -d ';' network; do
    set -- $network
    echo "$(ours 12 --hidden "$1" --latent "$2" --batch-size "$3" --optimizer adam) images/s  vae-gpu train 784-$1-$2 batch $3"
  done <<<"$networks;"
}
conv_of_ours() {
  echo "$(ours 3 --preset conv) images/s  vae-gpu train --preset conv"
}
objectives_of_ours() {
  while read -r -d ';' options; do
    echo "$(ours 4 --preset pytorch $options) images/s  vae-gpu train --preset pytorch $options"
  done <<<"--objective info-vae;--objective beta-tcvae;--free-bits 0.1;--prior mixture:10;--prior vamp:100;--objective iwae --samples 50;"
}
# The run is kept for the peer.
likelihood_of_ours() {
  "$bin/vae-gpu" train --preset iwae-k50 --epochs 1 --batch-size 1000 --data "$data" --backend wgpu --out "$work/iwae" >/dev/null 2>&1
  for k in 500 5000; do
    local from
    from=$(date +%s.%N)
    "$bin/vae-gpu" score "$work/iwae" --backend wgpu --importance-samples "$k" --force --out "$work/scores.csv" 2>&1 | grep NLL
    awk -v from="$from" -v to="$(date +%s.%N)" -v k="$k" 'BEGIN { printf "%.2f s  all of it at k = %d\n", to - from, k }'
  done
}
export -f median ours all_of_ours conv_of_ours objectives_of_ours likelihood_of_ours
export data networks
peer() { # seconds script modes networks
  if [ -n "${PYTHON:-}" ]; then
    part "$1" "$2: $3" "$PYTHON" -B "benches/peers/$2" --data "${VAE_GPU_MNIST:?names the folder with the full MNIST, which the peers read}" \
      --device cuda --seconds "${SECONDS_EACH:-1}" --modes "$3" --networks "$4"
  fi
}
part 60 "whole training, $data" bash -c all_of_ours
peer 70 jax.py scan "$networks"
peer 60 pytorch.py eager,cudagraph,cudagraph+tf32 "$networks"
part 60 "whole training again, $data" bash -c all_of_ours
part 40 "the preset of convolutions" bash -c conv_of_ours
peer 40 pytorch.py eager,cudagraph,cudagraph+tf32 '0 2 128'
part 60 "objectives and priors" bash -c objectives_of_ours
part 60 "the likelihood of the validation images by importance sampling" bash -c likelihood_of_ours
if [ -n "${PYTHON:-}" ]; then
  part 60 "nll.py, batched" "$PYTHON" -B benches/peers/nll.py --run "$work/iwae" --data "$VAE_GPU_MNIST" --images 10000 --device cuda
fi
part 40 "sample_kl as an op over burn (criterion)" bash -c '"$bin/sample_kl" --bench wgpu | grep -E "time:|thrpt:|skipped"'
# Last, for it compiles longest.
peer 150 pytorch.py compile-cudagraph "$networks"
