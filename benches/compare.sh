#!/usr/bin/env bash
# Training speed beside PyTorch, JAX and Keras: the same networks and data, all in turn, medians of several rounds.
#
#   VAE_GPU_MNIST=folder PYTHON=venv/bin/python benches/compare.sh [rounds]
#
# PYTHON has numpy and what is to be compared of torch, jax and keras; keep it in a virtual environment. Ours is the
# second epoch of `vae-gpu train`, with drawing of batches and losses; theirs is benches/peers/, with the data in memory.
# A dash is a peer that did not run, and why stands on stderr. "/best" is fused/cpu over the fastest of PyTorch and JAX.
# The last row is the preset `conv`, which only PyTorch's peer knows.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${VAE_GPU_MNIST:?names the folder with the full MNIST}" "${PYTHON:?names a Python with torch, jax and keras}"
rounds=${1:-5}
threads=$(nproc)
binary=${CARGO_TARGET_DIR:-target}/release/vae-gpu
cargo build --release --locked --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }
greatest() { printf '%s\n' "$@" | sort -g | tail -n 1; } # a dash sorts as less than any number
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a == "-" || b == "-") print "-"; else printf "%.2f", a / b }'; }

# Images per second of the second epoch.
ours() { # hidden latent batch backend
  local network=(--hidden "$1" --latent "$2")
  [ "$1" != 0 ] || network=(--preset conv)
  rm -rf "$work/run"
  "$binary" train --data "$VAE_GPU_MNIST" "${network[@]}" --batch-size "$3" --optimizer adam \
    --backend "$4" --epochs 2 --out "$work/run" 2>&1 >/dev/null |
    awk '/^epoch   2/ { for (i = 2; i <= NF; i++) if ($i == "images/s") print $(i - 1) }'
}

# Images per second, or nothing.
theirs() { # hidden latent batch file mode
  if "$PYTHON" -B "benches/peers/$4" --data "$VAE_GPU_MNIST" --hidden "$1" --latent "$2" --batch "$3" --mode "$5" \
    --threads "$threads" --steps $(($([ "$1" = 0 ] && echo 20000 || echo 200000) / $3)) >"$work/out" 2>"$work/error"; then
    awk '/images\/s/ { print $1 }' "$work/out"
  else
    echo "$4 --mode $5: $(tail -n 1 "$work/error")" >&2
  fi
}

row='%-24s%11s%9s%9s%9s%9s%9s%14s%8s%10s\n'
printf "$row" network fused/cpu eager compile jit scan keras burn/ndarray /best /ndarray
for network in '256 2 100' '400 20 128' '400 20 1024'; do
  set -- $network
  for _ in $(seq "$rounds"); do
    ours "$@" cpu >>"$work/fused"
    theirs "$@" pytorch.py eager >>"$work/eager"
    theirs "$@" pytorch.py compile >>"$work/compile"
    theirs "$@" jax.py jit >>"$work/jit"
    theirs "$@" jax.py scan >>"$work/scan"
    theirs "$@" keras.py fit >>"$work/keras"
    ours "$@" ndarray >>"$work/ndarray"
  done
  for kind in fused eager compile jit scan keras ndarray; do
    printf -v "$kind" '%s' "$(median <"$work/$kind")"
    rm "$work/$kind"
  done
  printf "$row" "784-$1-$2, batch $3" "$fused" "$eager" "$compile" "$jit" "$scan" "$keras" "$ndarray" \
    "$(ratio "$fused" "$(greatest "$eager" "$compile" "$jit" "$scan")")" "$(ratio "$fused" "$ndarray")"
done

for _ in $(seq "$rounds"); do
  ours 0 2 128 cpu >>"$work/fused"
  theirs 0 2 128 pytorch.py eager >>"$work/eager"
  theirs 0 2 128 pytorch.py compile >>"$work/compile"
  ours 0 2 128 ndarray >>"$work/ndarray"
done
for kind in fused eager compile ndarray; do
  printf -v "$kind" '%s' "$(median <"$work/$kind")"
done
printf "$row" "conv, batch 128" "$fused" "$eager" "$compile" - - - "$ndarray" \
  "$(ratio "$fused" "$(greatest "$eager" "$compile")")" "$(ratio "$fused" "$ndarray")"
