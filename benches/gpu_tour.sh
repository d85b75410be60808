#!/usr/bin/env bash
# The whole tour of a GPU in one call: is it right, how fast is it, where does the time go, who is faster. Correct first:
# a failed test ends the tour.
#
#   benches/gpu_tour.sh                            builds with cargo, trains on the built-in digits
#   VAE_GPU_MNIST=folder PYTHON=venv/bin/python    trains on the full MNIST, beside PyTorch and JAX on the same GPU
#   BIN=folder                                     takes vae-gpu, suite, passes, train_step, sample_kl and first_step from
#                                                  there (`benches/gpu_tour.sh build folder` puts them there, stripped)
#   ROUNDS=3 NETWORKS='256 2 100;400 20 128'       rounds of which the median is shown; hidden, latent and batch of each network
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

build() { # folder
  local list
  list=$(mktemp)
  mkdir -p "$1"
  cargo build --release --locked
  cp "${CARGO_TARGET_DIR:-target}/release/vae-gpu" "$1/"
  cargo test --release --locked --test suite --no-run 2>&1 | tee "$list"
  cargo bench --locked --no-run 2>&1 | tee -a "$list"
  for name in suite passes train_step sample_kl first_step; do
    cp "$(sed -n "s/.*(\(.*\/$name-[0-9a-f]*\))/\1/p" "$list" | tail -n 1)" "$1/$name"
  done
  strip "$1"/*
  rm "$list"
}

if [ "${1:-}" = build ]; then
  build "${2:?names the folder for the binaries}"
  exit
fi
if [ -z "${BIN:-}" ]; then
  BIN=$(mktemp -d)
  build "$BIN"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rounds=${ROUNDS:-3}
data=${VAE_GPU_MNIST:-digits}
networks=${NETWORKS:-256 2 100;400 20 128;400 20 1024;400 20 8192}

echo "== device"
"$BIN/vae-gpu" devices

echo "== parity"
VAE_GPU_TESTS=require "$BIN/suite" passes executors gradients training sample_kl random >"$work/suite" 2>&1 ||
  { cat "$work/suite"; exit 1; }
tail -n 2 "$work/suite"

echo "== from the start of the program to the first step, shader caches empty, then full"
for _ in cold warm; do
  MESA_SHADER_CACHE_DIR="$work/cache" __GL_SHADER_DISK_CACHE_PATH="$work/cache" XDG_CACHE_HOME="$work/cache" \
    "$BIN/first_step" --bench 2>/dev/null
done

echo "== each kernel, timestamps"
"$BIN/passes" --bench 2>/dev/null

echo "== sample_kl, and whole steps with nothing around them (criterion)"
for bench in sample_kl train_step; do
  "$BIN/$bench" --bench wgpu 2>/dev/null | grep -E 'time:|thrpt:|^[a-z_/ ]+[0-9]|skipped' || true
done

median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }

# Images per second, the median of all epochs but the first.
ours() { # hidden latent batch engine
  rm -rf "$work/run"
  "$BIN/vae-gpu" train --data "$data" --hidden "$1" --latent "$2" --batch-size "$3" --optimizer adam \
    --backend wgpu --engine "$4" --epochs 8 --out "$work/run" 2>&1 >/dev/null |
    awk '/^epoch/ && $2 > 1 { for (i = 2; i <= NF; i++) if ($i == "images/s") print $(i - 1) }' | median
}

theirs() { # hidden latent batch file mode [flag]
  "$PYTHON" -B "benches/peers/$4" --data "$data" --hidden "$1" --latent "$2" --batch "$3" --mode "$5" --device cuda \
    --steps $((400000 / $3)) ${6:-} 2>"$work/error" | awk '/images\/s/ { print $1 }' || tail -n 1 "$work/error" >&2
}

[ -z "${PYTHON:-}" ] || : "${VAE_GPU_MNIST:?names the folder with the full MNIST, which the peers read}"
kinds='fused burn'
[ -z "${PYTHON:-}" ] || kinds="$kinds eager compile cudagraph compile-cudagraph cudagraph+tf32 jit scan"
echo "== images per second of training, medians of $rounds rounds in turn, data: $data"
printf '%-26s' network
printf '%18s' $kinds
echo
while read -r -d ';' hidden latent batch; do
  set -- "$hidden" "$latent" "$batch"
  for _ in $(seq "$rounds"); do
    for kind in $kinds; do
      case $kind in
        fused | burn) ours "$@" "$kind" ;;
        jit | scan) theirs "$@" jax.py "$kind" ;;
        *+tf32) theirs "$@" pytorch.py "${kind%+tf32}" --tf32 ;;
        *) theirs "$@" pytorch.py "$kind" ;;
      esac >>"$work/$kind"
    done
  done
  printf '%-26s' "784-$1-$2, batch $3"
  for kind in $kinds; do
    printf '%18s' "$(median <"$work/$kind")"
    rm "$work/$kind"
  done
  echo
done <<<"$networks;"
