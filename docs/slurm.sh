#!/usr/bin/env bash
# A training on a cluster that goes on by itself where its time is up:
#
#   sbatch docs/slurm.sh --config configs/catsdogs_gpu.yaml
#
# Two minutes before the end SLURM sends SIGUSR1. Lightning writes a checkpoint and puts the job back into the queue, and
# the same command goes on from there. Lines below and options of sbatch may change
# nodes, GPUs and hours.
#SBATCH --job-name=lit_a1
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=SIGUSR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out
set -euo pipefail

# a task for each GPU, as Lightning wants it; what comes last counts, whatever the YAML says
srun python main.py fit "$@" --trainer.strategy ddp --trainer.num_nodes "$SLURM_NNODES" \
    --trainer.devices "$SLURM_NTASKS_PER_NODE"
