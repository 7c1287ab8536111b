cd "$(dirname "$0")/.."
make data
bash scripts/run_grid.sh > nightly.log 2>&1
