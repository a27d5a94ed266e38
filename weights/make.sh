#!/usr/bin/env bash
# Renders procedural scenes into DATASET, trains a network on them, writes weights/NETWORK.safetensors, and scores it on
# rooms for validation. Stop it at any time; the same command continues.
#
#   weights/make.sh DATASET NETWORK              # NETWORK: default, fast or paper
#
# Settings, as variables before the command, with their defaults:
#   ROOMS=40 QUIET_ROOMS=24 PLAIN=24             scenes to render; DATASET may hold others as well
#   TARGET_SPP=48                                samples per pixel of targets in rooms
#   PARTS=1                                      processes that render; on a GPU, nearly as many as there are cores
#   EPOCHS=70 SAMPLES=200 BATCH=2                training: epochs, windows in each, windows per step
#   LEARNING_RATE=1e-3
#   CHECKPOINT=                                  weights to start from
set -euo pipefail
cd "$(dirname "$0")/.."
dataset=$1 network=$2 python=.venv/bin/python runs=runs-$2
target_spp=${TARGET_SPP:-48}

render() { # render N SEED OPTIONS: N scenes, shared out among the parts, each with a seed of its own
    local number=$1 seed=$2 part pids=()
    shift 2
    for ((part = 0; part < parts; part++)); do
        $python render.py "$dataset" --procedural $(((number + parts - 1) / parts)) --seed $((seed + 100 * part)) \
            --frames 8 --width 256 --height 144 --denoise_target "$@" $([ "$parts" = 1 ] || echo --workers 1) &
        pids+=($!)
    done
    for part in "${pids[@]}"; do wait "$part"; done
}

# render
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT # Ctrl-C does not reach what runs in the background
parts=${PARTS:-1}
render "${ROOMS:-40}" 21 --split train --noisy 6 --target_spp "$target_spp"
render "${QUIET_ROOMS:-24}" 34 --split train --noisy 3 --target_spp $((2 * target_spp)) --spp 8 # rooms with little noise
render "${PLAIN:-24}" 55 --kind plain --split train --noisy 3 --target_spp $((4 * target_spp / 3))
parts=1
render 3 21 --split val --noisy 6 --target_spp "$target_spp"

# train; go on with the last checkpoint, if there is one
last_checkpoint() { ls -t "$runs"/*/checkpoints/last.ckpt 2> /dev/null | head -n 1 || true; }
from=$(last_checkpoint)
from=${from:-${CHECKPOINT:-}}
$python train.py "$dataset" --network "$network" --samples_per_epoch "${SAMPLES:-200}" --batch_size "${BATCH:-2}" \
    --learning_rate "${LEARNING_RATE:-1e-3}" --max_epochs "${EPOCHS:-70}" --log_dir "$runs" ${from:+--checkpoint "$from"}

# write and score
$python -m checkpoints "$(last_checkpoint)" "weights/$network.safetensors"
$python test.py "weights/$network.safetensors" "$dataset/val" --output_dir "$runs/val"
