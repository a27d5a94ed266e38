#!/usr/bin/env bash
# Makes a network's released weights: renders rooms, trains on them, writes weights/NETWORK.safetensors.
# Stop it at any time; the same command continues.
#
#   weights/make.sh DATASET default        # or fast
#
# On a GPU, and where a command may take ten minutes only:
#   ROOMS=400 QUIET_ROOMS=240 PLAIN=240 EPOCHS=300 BATCH=16 timeout -s TERM 580 weights/make.sh DATASET default
#
# DATASET/train and DATASET/val may hold other scenes as well.
set -euo pipefail
cd "$(dirname "$0")/.."
dataset=$1 network=$2
python=${PYTHON:-.venv/bin/python}
runs=${RUNS:-runs-$network}
target_spp=${TARGET_SPP:-48}
size="--frames 8 --width ${WIDTH:-256} --height ${HEIGHT:-144} --denoise_target"
rooms="--seed 21 --noisy 6 --target_spp $target_spp $size"
quiet="--seed 34 --noisy 3 --target_spp $((2 * target_spp)) --spp 8 $size" # rooms with little noise
plain="--kind plain --seed 55 --noisy 3 --target_spp $((4 * target_spp / 3)) $size"

$python render.py "$dataset" --procedural "${ROOMS:-40}" --split train $rooms
$python render.py "$dataset" --procedural "${QUIET_ROOMS:-24}" --split train $quiet
$python render.py "$dataset" --procedural "${PLAIN:-24}" --split train $plain
$python render.py "$dataset" --procedural 3 --split val $rooms

last=$(ls -t "$runs"/*/checkpoints/last.ckpt 2>/dev/null | head -n 1 || true)
$python train.py "$dataset" --network "$network" --crop_size "${CROP:-144}" --samples_per_epoch "${SAMPLES:-200}" \
    --batch_size "${BATCH:-2}" --learning_rate 1e-3 --max_epochs "${EPOCHS:-70}" --log_dir "$runs" ${last:+--checkpoint "$last"}
last=$(ls -t "$runs"/*/checkpoints/last.ckpt | head -n 1)
$python -m training.weights "$last" "weights/$network.safetensors"
