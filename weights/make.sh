#!/usr/bin/env bash
# Makes a network's released weights: renders scenes, trains on them, writes weights/NETWORK.safetensors, and scores it.
# Stop it at any time; the same command continues.
#
#   weights/make.sh DATASET default        # or fast
#
# To go on from weights that there are: CHECKPOINT=weights/default.safetensors LEARNING_RATE=8e-4 weights/make.sh ...
# On a GPU with 16 cores (PARTS: see below), about half an hour, and where a command may take ten minutes only, in three:
#   PARTS=12 ROOMS=96 QUIET_ROOMS=48 PLAIN=96 EPOCHS=40 BATCH=32 SAMPLES=3200 \
#       timeout -s TERM 580 weights/make.sh DATASET default
#
# DATASET/train and DATASET/val may hold other scenes as well.
set -euo pipefail
cd "$(dirname "$0")/.."
dataset=$1 network=$2
python=${PYTHON:-.venv/bin/python}
runs=${RUNS:-runs-$network}
target_spp=${TARGET_SPP:-48}
size="--frames 8 --width ${WIDTH:-256} --height ${HEIGHT:-144} --denoise_target"

# A GPU waits while one core compiles each scene's kernels: in PARTS processes, a scene each, it has more to do.
parts=${PARTS:-1}
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT # Ctrl-C does not reach what runs in the background
render() { # render N SEED OPTIONS: N scenes, shared out among the parts, each with a seed of its own
    local number=$1 seed=$2 part pids=()
    shift 2
    for ((part = 0; part < parts; part++)); do
        $python render.py "$dataset" --procedural $(((number + parts - 1) / parts)) --seed $((seed + 100 * part)) "$@" \
            $size $([ "$parts" = 1 ] || echo --workers 1) &
        pids+=($!)
    done
    for part in "${pids[@]}"; do wait "$part"; done
}

render "${ROOMS:-40}" 21 --split train --noisy 6 --target_spp "$target_spp"
render "${QUIET_ROOMS:-24}" 34 --split train --noisy 3 --target_spp $((2 * target_spp)) --spp 8 # rooms with little noise
render "${PLAIN:-24}" 55 --kind plain --split train --noisy 3 --target_spp $((4 * target_spp / 3))
parts=1 render 3 21 --split val --noisy 6 --target_spp "$target_spp"

last=$(ls -t "$runs"/*/checkpoints/last.ckpt 2>/dev/null | head -n 1 || true)
from=${last:-${CHECKPOINT:-}}
$python train.py "$dataset" --network "$network" --crop_size "${CROP:-128}" --samples_per_epoch "${SAMPLES:-200}" \
    --batch_size "${BATCH:-2}" --learning_rate "${LEARNING_RATE:-1e-3}" --max_epochs "${EPOCHS:-70}" --log_dir "$runs" \
    ${from:+--checkpoint "$from"}
last=$(ls -t "$runs"/*/checkpoints/last.ckpt | head -n 1)
$python -m checkpoints "$last" "weights/$network.safetensors"

# on the rooms for validation: reconstructions, metrics.json
$python test.py "weights/$network.safetensors" "$dataset/val" --output_dir "$runs/val"
