#!/bin/bash
source scripts/env.sh
torchrun --nproc_per_node "${GPUS:-2}" train.py "$@"
