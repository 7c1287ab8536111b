export PYTHONPATH=.
export HF_HOME=/tmp/hf
