#!/usr/bin/env bash
# A training on several machines without a scheduler, started on each of them at about the same time:
#
#   NODES=2 DEVICES=4 HOST=first.machine docs/torchrun.sh --config configs/catsdogs_gpu.yaml
#
# NODES machines (default: 1) with DEVICES GPUs each (default: 1) meet at HOST, one of them (default: this one). If one
# is lost, all end; the same command with `--ckpt_path last` continues.
set -euo pipefail
NODES=${NODES:-1} DEVICES=${DEVICES:-1} HOST=${HOST:-localhost}

torchrun --nnodes "$NODES" --nproc-per-node "$DEVICES" --rdzv-backend c10d --rdzv-endpoint "$HOST:${PORT:-29400}" \
    main.py fit "$@" --trainer.strategy ddp --trainer.num_nodes "$NODES" --trainer.devices "$DEVICES"
