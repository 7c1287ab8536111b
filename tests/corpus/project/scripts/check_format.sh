set -e
ruff format --check .
mypy src
pytest -q
