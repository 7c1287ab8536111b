"""The programs that run another command, and how their own words end: tables, no code.

A wrapper's options come first; those listed take the next word as their value. Then so many words
of its own (`timeout 10m`), then the command. What the manuals of the programs say, as of 2026.
"""

from typing import Final, NamedTuple

from tallystick.shell.wordlist import word_set


class Wrapper(NamedTuple):
    """How the words of a wrapper are told from those of its command."""

    valued: frozenset[str] = frozenset()
    """Options that take the next word."""
    own: int = 0
    """Words of its own before the command, options not counted."""
    text: bool = False
    """Whether the words are put together and given to a shell."""
    text_option: frozenset[str] = frozenset()
    """Options whose value is a shell text."""
    assigns: bool = False
    """Whether `NAME=value` may stand before the command."""
    remote: bool = False
    computes: bool = False
    after_dashes: bool = False
    """Whether the command stands behind `--`, and there is none without it."""
    directory: frozenset[str] = frozenset()
    """Options whose value is the directory of the command."""
    fills: bool = False
    """Whether `{}` in the command stands for something else."""
    bare_stop: frozenset[str] = frozenset()
    """Options with which it runs no command."""


def _wrapper(
    valued: str = "",
    own: int = 0,
    *,
    text_option: str = "",
    directory: str = "",
    bare_stop: str = "",
    **flags: bool,
) -> Wrapper:
    """A wrapper, its options written as one line."""
    return Wrapper(
        valued=frozenset(f"{valued} {text_option} {directory}".split()),
        own=own,
        text_option=frozenset(text_option.split()),
        directory=frozenset(directory.split()),
        bare_stop=frozenset(bare_stop.split()),
        **flags,
    )


_PLAIN: Final = _wrapper()
_DASHED: Final = _wrapper(after_dashes=True)
_DOCKER_RUN: Final = _wrapper(
    "-a --attach --add-host --annotation --blkio-weight --cap-add --cap-drop --cgroup-parent "
    "--cidfile --cpu-period --cpu-quota --cpu-shares -c --cpus --cpuset-cpus --cpuset-mems "
    "--device --dns -e --env --env-file --expose --gpus --group-add --health-cmd -h --hostname "
    "--ip --ipc -l --label --label-file --link --log-driver --log-opt --mac-address -m --memory "
    "--memory-reservation --memory-swap --mount --name --network --net --oom-score-adj --pid "
    "--pids-limit --platform -p --publish --pull --restart --runtime --security-opt --shm-size "
    "--stop-signal --stop-timeout --storage-opt --sysctl --tmpfs --ulimit -u --user --userns --uts "
    "-v --volume --volume-driver --volumes-from -w --workdir --entrypoint",
    1,
    remote=True,
)
_DOCKER_EXEC: Final = _wrapper(
    "-e --env --env-file -u --user -w --workdir --detach-keys --index", 1, remote=True
)
_COMPOSE_RUN: Final = _wrapper(
    "-e --env --env-from-file --entrypoint --name -p --publish -u --user -v --volume -w --workdir "
    "-l --label --cap-add --cap-drop",
    1,
    remote=True,
)
_APPTAINER: Final = _wrapper(
    "-B --bind --env --env-file -H --home --pwd --cwd -W --workdir -o --overlay --app --dns "
    "--fusemount --hostname --network --security -S --scratch --add-caps --drop-caps --cpus "
    "--memory --mount",
    1,
    remote=True,
)
_KUBE: Final = _wrapper(
    "-c --container -n --namespace --context --kubeconfig --pod-running-timeout -f --filename "
    "--image --env -l --labels --overrides --restart --limits --requests --port",
    after_dashes=True,
    remote=True,
)
_UV_RUN: Final = _wrapper(
    "--with --with-editable --with-requirements --extra --no-extra --group --no-group --only-group "
    "--env-file -p --python --package --project --index --default-index -i --index-url "
    "--extra-index-url -f --find-links -P --upgrade-package --reinstall-package --resolution "
    "--prerelease --index-strategy --keyring-provider -C --config-setting --link-mode "
    "--exclude-newer --cache-dir --config-file --color --refresh-package --no-build-package "
    "--no-binary-package --allow-insecure-host --python-platform -w",
    directory="--directory",
)
_UVX: Final = _wrapper(
    "--from --with --with-editable --with-requirements -p --python --index --default-index "
    "--index-url --extra-index-url -f --find-links --env-file --directory --project -c "
    "--constraints -w"
)
_CONDA_RUN: Final = _wrapper("-n --name -p --prefix -e --env -r --root-prefix", directory="--cwd")
_SRUN: Final = _wrapper(
    "-A --account -b --begin -c --cpus-per-task --comment -C --constraint -d --dependency "
    "--distribution -e --error -G --gpus --gpus-per-node --gpus-per-task --gres "
    "-i --input -J --job-name --jobid -M --clusters --mail-type --mail-user --mem --mem-per-cpu "
    "--mem-per-gpu -N --nodes -n --ntasks --ntasks-per-node --ntasks-per-gpu -o --output "
    "-p --partition -q --qos -r --relative --reservation -t --time -T --threads -w --nodelist "
    "-x --exclude --cpu-bind --mpi --signal --tasks-per-node --time-min --export --het-group "
    "--licenses -L --container-image --container-mounts --container-name --container-workdir "
    "--gpu-bind --mem-bind --nice --priority --open-mode",
    directory="-D --chdir",
    computes=True,
    bare_stop="--version --help --usage -V",
)
_FLUX: Final = _wrapper(
    "-N --nodes -n --ntasks -c --cores-per-task -g --gpus-per-task -t --time-limit -q --queue -o "
    "--setopt --job-name --output --error --env --urgency --bank",
    directory="--cwd",
    computes=True,
)
_MPI: Final = _wrapper(
    "-n -np -c -N -npernode -H -host --host -hostfile --hostfile -machinefile --machinefile "
    "-x -env -genv -wd -wdir --wd --wdir -bind-to --bind-to -map-by --map-by -rank-by --rank-by "
    "-ppn -perhost -f -hosts --prefix -app --app --output-filename -iface -l --report-uri",
    computes=True,
    bare_stop="--version --help -V -h",
)
_TMUX_NEW: Final = _wrapper("-s -n -t -x -y -e -F -f", directory="-c", text=True)
_TMUX_PANE: Final = _wrapper("-t -l -p -e -F -n", directory="-c", text=True)
_NSYS: Final = _wrapper(
    "-o --output -t --trace -s --sample -c --capture-range -d --duration -y --delay --stats "
    "--force-overwrite -f -e --env-var -w --show-output -x --stop-on-exit --cuda-memory-usage "
    "--gpu-metrics-device --python-sampling --export --session-new --kill"
)

WRAPPERS: Final = {
    "aws-vault": _wrapper("-d --duration --region", 2),
    "builtin": _PLAIN,
    "caffeinate": _wrapper("-t -w"),
    "cgexec": _wrapper("-g"),
    "chronic": _PLAIN,
    "chroot": _wrapper(own=1, remote=True),
    "chrt": _wrapper("-T -P -D", 1),
    "command": _wrapper(bare_stop="-v -V"),
    "compute-sanitizer": _wrapper("--tool --log-file"),
    "coproc": _PLAIN,
    "cpulimit": _wrapper("-l --limit -p --pid -e --exe"),
    "cuda-memcheck": _wrapper("--tool --log-file"),
    "dbus-run-session": _PLAIN,
    "doas": _wrapper("-u -C -a", assigns=True),
    "dotenvx": _wrapper("-f --env-file -e --env", 1),
    "dumb-init": _PLAIN,
    "entr": _PLAIN,
    "env": _wrapper("-u --unset", text_option="-S --split-string", directory="-C --chdir",
                    assigns=True),
    "envdir": _wrapper(own=1),
    "exec": _wrapper("-a"),
    "expect": _wrapper(text_option="-c"),
    "firejail": _PLAIN,
    "flock": _wrapper("-w --wait --timeout -E --conflict-exit-code", 1,
                      text_option="-c --command"),
    "gdb": _wrapper("-x -ex --command", bare_stop="-p --pid"),
    "gosu": _wrapper(own=1),
    "gtime": _wrapper("-f --format -o --output"),
    "gtimeout": _wrapper("-s --signal -k --kill-after", 1),
    "heaptrack": _wrapper("-o --output"),
    "ionice": _wrapper("-c --class -n --classdata -p --pid", bare_stop="-p --pid"),
    "ltrace": _wrapper("-e -o -p -s -u -n"),
    "ncu": _wrapper("-o --export -k --kernel-name -c --launch-count -s --launch-skip --set "
                    "--section --metrics --target-processes --nvtx-include"),
    "daemonize": _wrapper("-a -c -e -o -p -l -u -E"),
    "dtach": _wrapper("-n -c -A -a -e -r"),
    "nice": _wrapper("-n --adjustment"),
    "nocache": _PLAIN,
    "nohup": _PLAIN,
    "numactl": _wrapper("-i --interleave -m --membind -N --cpunodebind -C --physcpubind "
                        "-p --preferred -P --preferred-many -l --localalloc",
                        bare_stop="--show -s --hardware -H"),
    "nvprof": _wrapper("-o --export-profile -f --log-file --metrics --events"),
    "prlimit": _wrapper("-p --pid", bare_stop="-p --pid"),
    "proxychains": _wrapper("-f"),
    "proxychains4": _wrapper("-f"),
    "retry": _wrapper("-t -d --times --delay --tries"),
    "rlwrap": _wrapper("-f -H"),
    "runuser": _wrapper("-u -g -G -l", text_option="-c --command"),
    "script": _wrapper("-O -I -B -T -E -o --log-out", text_option="-c --command",
                       bare_stop="-c --command"),
    "sem": _wrapper("-j --jobs --id"),
    "setarch": _wrapper(own=1),
    "setpriv": _wrapper("--reuid --regid --groups"),
    "setsid": _PLAIN,
    "ssh-agent": _wrapper("-a -t -E -O -P", bare_stop="-k -s"),
    "stdbuf": _wrapper("-i --input -o --output -e --error"),
    "strace": _wrapper("-e -o -p -s -u -E -a -I -O -S -P -X", bare_stop="-p"),
    "su": _wrapper("-s --shell -g -G", 2, text_option="-c --command"),
    "sudo": _wrapper("-u --user -g --group -h --host -p --prompt -C -r -t -T -U -R",
                     directory="-D --chdir", assigns=True, bare_stop="-l -v -k -K -V"),
    "systemd-inhibit": _wrapper("--what --who --why --mode"),
    "systemd-run": _wrapper("-p --property -u --unit --description --slice -E --setenv -M "
                            "--machine -H --host --uid --gid --nice --on-active --on-calendar "
                            "--on-boot --service-type", directory="--working-directory"),
    "taskset": _wrapper("-p", 1, bare_stop="-p --pid"),
    "time": _wrapper("-f --format -o --output"),
    "timeout": _wrapper("-s --signal -k --kill-after", 1),
    "tini": _PLAIN,
    "torsocks": _PLAIN,
    "trace-cmd": _wrapper("-e -o", 1),
    "tsp": _wrapper("-L -N -D -W -g", bare_stop="-l -c -t -C -K -w -i -s -r -u -S -q -h -V"),
    "ts": _wrapper("-L -N -D -G", bare_stop="-l -c -t -C -K -w -i -s -r -u -S -h -V"),
    "unbuffer": _PLAIN,
    "unshare": _wrapper("-S -G --map-user --map-group"),
    "valgrind": _PLAIN,
    "vglrun": _wrapper("-d"),
    "watch": _wrapper("-n --interval -q --equexit", text=True),
    "watchexec": _wrapper("-e --exts -w --watch -f --filter -i --ignore -d --debounce -s "
                          "--signal --shell -r --on-busy-update"),
    "watchmedo": _wrapper("-p --patterns -i --ignore-patterns", 1,
                          text_option="-c --command"),
    "with-contenv": _PLAIN,
    "xvfb-run": _wrapper("-e --error-file -f --auth-file -n --server-num -p -s --server-args "
                         "-w --wait"),
    "srun": _SRUN,
    "salloc": _SRUN,
    "mpirun": _MPI,
    "mpiexec": _MPI,
    "mpiexec.hydra": _MPI,
    "orterun": _MPI,
    "prun": _MPI,
    "jsrun": _wrapper("-n --nrs -a --tasks_per_rs -c --cpu_per_rs -g --gpu_per_rs -b --bind "
                      "-r --rs_per_host -E --env", computes=True),
    "aprun": _wrapper("-n -N -d -S -j -L", computes=True),
    "ibrun": _wrapper("-n -o", computes=True),
    "pdsh": _wrapper("-w -x -l -t -u -f -R -g", text=True, remote=True),
    "clush": _wrapper("-w -x -g -l -t -u -f", text=True, remote=True),
    "uvx": _UVX,
    "npx": _wrapper("-p --package", text_option="-c --call"),
    "bunx": _PLAIN,
    "pnpx": _PLAIN,
    "xargs": _wrapper("-a --arg-file -d --delimiter -E -I -i --replace -L -l --max-lines -n "
                      "--max-args -P --max-procs -s --max-chars --process-slot-var", fills=True),
    "ssh": _wrapper("-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w", 1, text=True,
                    remote=True, bare_stop="-V -N -Q"),
    "autossh": _wrapper("-M -B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w", 1,
                        text=True, remote=True),
    "mosh": _wrapper("--ssh --port -p --predict", 1, remote=True),
    "sshpass": _wrapper("-p -f -d"),
}  # fmt: skip
"""By the name of the program."""
SUBCOMMANDS: Final = {
    "uv": {"run": _UV_RUN, "tool run": _UVX, "x": _UVX},
    "pipx": {"run": _wrapper("--spec --python --index-url --pip-args")},
    "poetry": {"run": _PLAIN},
    "pdm": {"run": _wrapper("-p --project -s --site-packages")},
    "pipenv": {"run": _PLAIN},
    "hatch": {"run": _PLAIN},
    "rye": {"run": _PLAIN},
    "pixi": {"run": _wrapper("-e --environment --manifest-path")},
    "conda": {"run": _CONDA_RUN},
    "mamba": {"run": _CONDA_RUN},
    "micromamba": {"run": _CONDA_RUN},
    "pyenv": {"exec": _PLAIN},
    "direnv": {"exec": _wrapper(own=1)},
    "asdf": {"exec": _PLAIN},
    "mise": {"exec": _DASHED, "x": _DASHED},
    "rtx": {"exec": _DASHED},
    "bundle": {"exec": _PLAIN},
    "npm": {"exec": _DASHED},
    "yarn": {"exec": _PLAIN, "dlx": _PLAIN},
    "pnpm": {"exec": _PLAIN, "dlx": _PLAIN},
    "nix": {
        "develop": _wrapper("-c --command"),
        "shell": _wrapper("-c --command"),
    },
    "op": {"run": _DASHED},
    "doppler": {"run": _wrapper("-p --project -c --config", after_dashes=True)},
    "infisical": {"run": _DASHED},
    "dotenv": {"run": _PLAIN},
    "docker": {"run": _DOCKER_RUN, "exec": _DOCKER_EXEC, "container run": _DOCKER_RUN,
               "container exec": _DOCKER_EXEC, "compose run": _COMPOSE_RUN,
               "compose exec": _DOCKER_EXEC, "create": _DOCKER_RUN},
    "podman": {"run": _DOCKER_RUN, "exec": _DOCKER_EXEC, "create": _DOCKER_RUN},
    "nerdctl": {"run": _DOCKER_RUN, "exec": _DOCKER_EXEC},
    "docker-compose": {"run": _COMPOSE_RUN, "exec": _DOCKER_EXEC},
    "podman-compose": {"run": _COMPOSE_RUN, "exec": _DOCKER_EXEC},
    "lxc": {"exec": _wrapper("--env --user --cwd", 1, remote=True)},
    "apptainer": {"exec": _APPTAINER, "run": _APPTAINER, "shell": _APPTAINER},
    "singularity": {"exec": _APPTAINER, "run": _APPTAINER, "shell": _APPTAINER},
    "enroot": {"start": _wrapper("-e --env -m --mount -c --conf", 1, remote=True)},
    "kubectl": {"exec": _KUBE, "run": _KUBE, "debug": _KUBE, "create job": _KUBE},
    "vagrant": {"ssh": _wrapper("--node-name", text_option="-c --command", remote=True)},
    "pueue": {"add": _wrapper("-w --working-directory -g --group -d --delay -a --after -l --label "
                              "-o --priority", text=True)},
    "pm2": {"start": _wrapper("--interpreter -i --name -n --max-memory-restart --cwd", text=True)},
    "oc": {"exec": _KUBE, "run": _KUBE, "rsh": _wrapper("-c", 1, remote=True)},
    "k": {"exec": _KUBE, "run": _KUBE},
    "gcloud": {"compute ssh": _wrapper("--zone --project --ssh-flag --ssh-key-file", 1,
                                       text_option="--command", remote=True)},
    "tmux": {"new": _TMUX_NEW, "new-session": _TMUX_NEW, "neww": _TMUX_PANE,
             "new-window": _TMUX_PANE, "splitw": _TMUX_PANE, "split-window": _TMUX_PANE,
             "respawn-pane": _TMUX_PANE, "respawnp": _TMUX_PANE, "run-shell": _TMUX_PANE,
             "run": _TMUX_PANE, "popup": _wrapper("-t -w -h -x -y -d -T", text=True),
             "display-popup": _wrapper("-t -w -h -x -y -d -T", text=True),
             "respawn-window": _TMUX_PANE, "if-shell": _TMUX_PANE, "if": _TMUX_PANE},
    "flux": {"submit": _FLUX, "run": _FLUX, "alloc": _FLUX, "batch": _FLUX, "mini run": _FLUX,
             "mini submit": _FLUX},
    "mprof": {"run": _wrapper("-T --interval -o --output -t --timeout")},
    "zellij": {"run": _wrapper("-d -n --name", directory="--cwd", after_dashes=True)},
    "nsys": {"profile": _NSYS, "launch": _NSYS, "start": _NSYS},
    "perf": {"stat": _wrapper("-e --event -r --repeat -o --output -p --pid -x"),
             "record": _wrapper("-e --event -F --freq -o --output -p --pid -g --call-graph -c"),
             "trace": _wrapper("-e -o -p")},
    "py-spy": {"record": _wrapper("-o --output -p --pid -r --rate -d --duration -f --format"),
               "top": _wrapper("-p --pid -r --rate")},
    "ray": {"job submit": _wrapper("--address --runtime-env --runtime-env-json --working-dir "
                                   "--submission-id --job-id --entrypoint-num-cpus "
                                   "--entrypoint-num-gpus", after_dashes=True, remote=True,
                                   computes=True),
            "exec": _wrapper("--cluster-name -n", 1, text=True, remote=True)},
    "git": {"bisect run": _PLAIN, "submodule foreach": _wrapper(text=True)},
}  # fmt: skip
"""By the name of the program and its subcommand."""
GLOBAL_VALUES: Final = {
    "uv": frozenset({"--directory", "--project", "--cache-dir", "--config-file", "--color"}),
    "poetry": frozenset({"-C", "--directory", "-P", "--project"}),
    "pdm": frozenset({"-p", "--project", "-c", "--config"}),
    "hatch": frozenset({"-e", "--env", "-p", "--project"}),
    "docker": word_set(
    "-H --host -c --context --config -f -p --file --project-name --profile --env-file"
),
    "docker-compose": frozenset({"-f", "--file", "-p", "--project-name", "--profile",
                                 "--env-file"}),
    "kubectl": frozenset({"-n", "--namespace", "--context", "--kubeconfig", "--cluster", "--user"}),
    "oc": frozenset({"-n", "--namespace", "--context"}),
    "tmux": frozenset({"-L", "-S", "-f", "-c"}),
    "nsys": frozenset({"-o"}),
    "git": frozenset({"-C", "-c", "--git-dir", "--work-tree"}),
    "dotenv": frozenset({"-f", "--file", "-e"}),
    "gcloud": frozenset({"--project", "--account"}),
    "make": frozenset({"-C", "-f", "-I", "-o", "-W"}),
    "npm": frozenset({"--prefix", "-w", "--workspace"}),
    "pnpm": frozenset({"-C", "--dir", "--filter"}),
    "yarn": frozenset({"--cwd"}),
    "ray": frozenset({"--address"}),
}  # fmt: skip
"""Options of a program before its subcommand that take the next word."""
