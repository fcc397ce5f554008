#!/usr/bin/env bash
# A training on a cluster that continues by itself when its time is up:
#
#   sbatch docs/slurm.sh --config configs/catsdogs_gpu.yaml
#
# Two minutes before the end, SLURM sends SIGUSR1. Lightning writes a checkpoint and requeues the job, and the same
# command continues from there. Change nodes, GPUs and hours in the lines below or by options of sbatch.
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

# a task for each GPU, as Lightning requires; later options override the YAML
srun python main.py fit "$@" --trainer.strategy ddp --trainer.num_nodes "$SLURM_NNODES" \
    --trainer.devices "$SLURM_NTASKS_PER_NODE"
