#!/usr/bin/env bash
set -euo pipefail
for lr in 0.1 0.01 0.001; do
  for seed in 1 2; do
    python train.py --lr "$lr" --seed "$seed"
  done
done
