#!/usr/bin/env bash
# Published results beside ours: trains a recipe of benches/reproduce/, evaluates it and prints both numbers.
#
#   benches/reproduce.sh NAME        article, pytorch, conv, pythae, vae or iwae
#
# VAE_GPU_MNIST names the folder with the full MNIST; without it MNIST is downloaded (conv needs it). EPOCHS shortens the
# training, K the importance samples of the evaluation (5000), DATA names other images, for a trial. OUT is the folder for the
# runs (runs/reproduce). The same command goes on where it was interrupted. docs/reproduction.md says what has been measured.
set -euo pipefail
name=${1:?names the recipe: article, pytorch, conv, pythae, vae or iwae}
here=$(cd "$(dirname "$0")" && pwd)
recipe=$here/reproduce/$name.toml
[ -f "$recipe" ] || { echo "$name: expected article, pytorch, conv, pythae, vae or iwae" >&2; exit 2; }
k=${K:-5000}
binary=${VAE_GPU:-}
if [ -z "$binary" ]; then
  (cd "$here/.." && cargo build --release --locked --quiet)
  binary=${CARGO_TARGET_DIR:-$here/../target}/release/vae-gpu
fi
out=${OUT:-runs/reproduce}/$name${EPOCHS:+-$EPOCHS-epochs}
mkdir -p "$(dirname "$out")"

# The recipe on the data that are here.
data=${DATA:-${VAE_GPU_MNIST:-mnist}}
if [ "$name" = conv ] && [ -z "${DATA:-}" ]; then
  : "${VAE_GPU_MNIST:?names the folder with the full MNIST}"
  all=$(dirname "$out")/mnist-70000-images-idx3-ubyte
  if [ ! -f "$all" ]; then
    images() { # without the header of 16 bytes
      local file=$VAE_GPU_MNIST/$1-images-idx3-ubyte
      if [ -f "$file" ]; then cat "$file"; else gzip -dc "$file.gz"; fi | tail -c +17
    }
    { printf '\0\0\10\3\0\1\21\160\0\0\0\34\0\0\0\34' && images train && images t10k; } >"$all.tmp"
    mv "$all.tmp" "$all"
  fi
else
  all=$data
fi
escaped() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }
sed -e "s|\"mnist\"|\"$(escaped "$data")\"|" -e "s|\"mnist-70000-images-idx3-ubyte\"|\"$(escaped "$all")\"|" "$recipe" >"$out.toml"
if [ -n "${EPOCHS:-}" ]; then
  sed -i.bak '/^epochs = /d' "$out.toml"
  sed -i.bak "s|^\[base\]|[base]\nepochs = $EPOCHS|" "$out.toml"
  rm -f "$out.toml.bak"
fi

"$binary" sweep "$out.toml" --out "$out" --wait

# A column of the first or the last row of a table.
column() { # name
  awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i } END { print $column }'
}
# NLL of a model, evaluated once, with this many importance samples.
nll() { # weights samples options..
  local file=$1.nll-$2.json
  if [ ! -f "$file" ]; then
    "$binary" eval "$1" --k "$2" --json "${@:3}" >"$file.tmp"
    mv "$file.tmp" "$file"
  fi
  awk -v k="\"importance_samples\": $2," 'index($0, k) { found = 1 } found && /"mean"/ { gsub(/[^-0-9.e]/, "", $2); print $2; exit }' "$file"
}
mean() { awk '{ sum += $1 } END { printf "%.4f", sum / NR }'; }
row() { # what ours published
  awk -v what="$1" -v ours="$2" -v published="$3" 'BEGIN {
    if (published == "-") printf "%-58s%10.2f%11s%12s\n", what, ours, "-", "-"
    else printf "%-58s%10.2f%11.2f%+12.2f\n", what, ours, published, ours - published
  }'
}
last_epoch() { for run in "$out"/*seed=*; do "$binary" show "$run" --format csv | column "$1"; done | mean; }
best_nll() { for run in "$out"/*seed=*; do nll "$run/model.safetensors" "$k"; done | mean; }

epochs=$("$binary" show "$(printf '%s\n' "$out"/*seed=* | head -n 1)" --format csv | column epoch)
echo
printf '%-58s%10s%11s%12s\n' "$name, epochs: $epochs, nats per image" ours published difference
case $name in
article)
  row "best validation loss, mean of 3 seeds" "$(column loss_mean <"$out/results.csv")" 162.02
  row "NLL of its weights, k = $k" "$(best_nll)" -
  ;;
pytorch)
  row "test loss of the last epoch, mean of 3 seeds" "$(last_epoch validation_loss)" 105.59
  row "training loss of the last epoch" "$(last_epoch train_loss)" 106.31
  row "NLL of the best epoch, k = $k" "$(best_nll)" -
  ;;
conv)
  row "training loss of the last epoch, mean of 3 seeds" "$(last_epoch train_loss)" 146.95
  row "NLL of images that were trained on, k = $k" "$(best_nll)" -
  ;;
pythae)
  row "NLL of the test images, best epoch, k = 200" "$(nll "$out/seed=0/model.safetensors" 200 --part test)" 89.78
  row "the same, k = $k" "$(nll "$out/seed=0/model.safetensors" "$k" --part test)" -
  ;;
vae | iwae)
  for point in vae:1:86.76 vae:5:86.47 vae:50:86.35 iwae:5:85.54 iwae:50:84.78; do
    IFS=: read -r model samples published <<<"$point"
    [ "$model" = "$name" ] || continue
    # The weights of the last epoch: none is chosen by the images that are evaluated.
    row "NLL, $samples draws in training, k = $k" "$(nll "$out/samples=$samples,seed=0/last.safetensors" "$k")" "$published"
  done
  ;;
esac
