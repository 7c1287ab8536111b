"""Programs that start no experiment whatever their options are, and those that run scripts."""

from typing import Final

from tallystick.shell.wordlist import word_set

TOOLS: Final = word_set(
    ": [ [[ accelerate ack ag aider alias ansible apk apt apt-get aptitude ar arch aria2c as asdf "
    "astyle awk aws az b2sum base64 bat bc bg bjobs bkill black brew buildah bump2version bun "
    "bunzip2 bzip2 cal cargo cat cd celery chattr chgrp chmod chown cksum clang clang-format "
    "clang-tidy claude clear cloc cmake cmp code codespell codex column comm commitizen conda "
    "convert cookiecutter copier cosign cp cpio crontab cscope csplit csvcut csvlook ctags curl "
    "cut cython cz dask datasette date dd defaults delta df diff difft dig direnv dirname dirs "
    "disown django-admin dmesg dnf docker docker-compose dos2unix dot dotnet-ef du duckdb dvc "
    "echo eslint ethtool exa exiftool exit expand expr eza fail false fc fdupes ffmpeg ffprobe fg "
    "file flake8 flask flit fmt fold free fuser fzf g++ gawk gcc gcloud gdu gemini getconf getent "
    "getfacl getopts gh gio git git-lfs glab gnuplot go gofmt gpg gpustat gradio gradle grep "
    "grype gs gsutil guild gunicorn gunzip gzip hadolint hash hatch head helm help hexdump hf "
    "history host hostname htop http httpie huggingface-cli hugo hwclock ibstat iconv id identify "
    "ifconfig iftop indent info insmod install iostat ip ipcluster iperf3 ipmitool isort jekyll "
    "jobs join journalctl jq jupyter jupyter-lab jupyter-notebook jupytext kaggle kill killall "
    "kubectl last latexmk ld ldconfig ldd less llama-server ln local locale localectl locate "
    "logger loginctl logname look ls lsattr lsb_release lsblk lscpu lsmod lsof lspci lsusb ltrace "
    "lzma magick make-docs make-help mamba man mapfile markdownlint md5sum mdbook meson "
    "micromamba mkdir mkdocs mkfifo mktemp mlflow mlr mmdc modal modprobe module montage more "
    "mount mv mypy nano nbstripout nc ncdu nerdctl netstat nice ninja nl nm nmap npm nproc "
    "nslookup numfmt nvcc nvidia-ctk nvidia-settings nvidia-smi nvitop nvm nvme nvtop objdump od "
    "ollama open opencode openssl optuna pandoc paste patch pbcopy pbpaste pdflatex pdftotext pdm "
    "perl pgrep pidof ping pip pip-compile pip-sync pip3 pipenv pixi pkg pkill plantuml pmap pnpm "
    "podman poetry popd pr pre-commit prettier printenv printf protoc ps psql pstree pushd pv pwd "
    "pyenv pylint pyright qdel qhost qstat ranlib ray rbenv rclone read readelf readlink realpath "
    "redis-cli rename reset return rg rm rmdir rocm-smi route rsync ruff rustc rustup rye s3cmd "
    "s5cmd sacct sacctmgr say scancel scc scontrol scp screen sed semantic-release sensors seq "
    "service set setfacl sftp sha1sum sha256sum sha512sum shellcheck shfmt shift shopt shred shuf "
    "sinfo size skopeo sky sleep smartctl socat sort sphinx-build split sprio sqlite3 squeue "
    "sreport ss sshare sstat stat streamlit strings strip stty sum sw_vers swapon syft sync "
    "sysctl systemctl tac tail tar tee telnet tensorboard terraform test tig timedatectl tldr "
    "tmux tokei top touch tox-ini tput tr tree trivy true truncate tsort tty tune twine type "
    "typeset ulimit umask unalias uname unexpand uniq unlink unset unxz unzip update-alternatives "
    "uptime users uv uvicorn vale vdir vi vim vllm vmstat w wait wandb watchman wc wget where "
    "whereis which who whoami xdg-open xmllint xxd xz yamllint yarn yes yq yum zcat zellij zip "
    "zless zoxide zstd zstdcat"
)
"""Their names and options are not looked at."""
TESTS: Final = word_set("pytest py.test tox nox nosetests nose2 ptw pytest-watch")
SHELLS: Final = word_set("bash sh zsh dash ksh mksh ash rbash fish")
OURS: Final = frozenset({"tally", "tallystick"})
LANGUAGES: Final = {
    "Rscript": ("-e",), "R": ("-e",), "littler": ("-e",), "r": ("-e",), "julia": ("-e", "-E"),
    "octave": ("--eval",), "octave-cli": ("--eval",), "matlab": ("-batch", "-r"),
    "node": ("-e", "-p"), "nodejs": ("-e",), "deno": ("-e",), "bun": ("-e",), "tsx": ("-e",),
    "ts-node": ("-e",), "ruby": ("-e",), "perl": ("-e", "-E"), "lua": ("-e",), "luajit": ("-e",),
    "th": ("-e",), "php": ("-r",), "scala": ("-e",), "groovy": ("-e",), "stata": ("-e", "-b"),
    "sas": (), "wolframscript": ("-code",), "gawk": (), "awk": (), "elixir": ("-e",),
    "tclsh": (), "osascript": ("-e",), "swift": (), "runhaskell": (), "java": (), "expect": ("-c",),
}  # fmt: skip
"""Interpreters of other languages, with the options whose value is code."""
COMPILED_RUNS: Final = {
    "cargo": ("run", "r"), "go": ("run",), "dotnet": ("run",), "bazel": ("run",), "sbt": ("run",),
    "stack": ("run", "exec"), "cabal": ("run",), "swift": ("run",), "mix": ("run",),
    "zig": ("run", "build"), "gradle": ("run",), "mvn": ("exec:java",), "nimble": ("run",),
    "buck2": ("run",),
}  # fmt: skip
"""Programs that build and run what their words name."""
