"""The judgement: what leads to an experiment through wrappers, scripts and quotes, and what not.

How well it does on commands as they are typed is measured by test_corpus.py.
"""

import pytest

from tallystick.shell import parse as parsing
from tallystick.shell.classify import REASONS, Rules, Verdict, judge
from tests.unit.shell.judging import TRAINS, judged, verdict

WRAPPERS = """\
FOO=1 BAR=2 {}|env -u X -C /proj A=1 {}|env -S 'A=1 {}'|nohup {}|setsid -w {}|exec -a x {}
command {}|builtin {}|time -p {}|nice -n 5 {}|ionice -c2 -n0 {}|chrt -b 0 {}|taskset -c 0,1 {}
numactl -N 0 -m 0 {}|stdbuf -oL {}|unbuffer {}|timeout -k 5 -s KILL 10m {}|sudo -u ada -E {}
doas {}|strace -f -o t {}|xvfb-run -a {}|caffeinate -i {}|systemd-run --user --scope {}|coproc {}
xargs -n1 {}|find . -name '*.y' -exec {} \\;|uv run --with torch {}|poetry run {}|pdm run {}
pipenv run {}|hatch run {}|pixi run -e gpu {}|rye run {}|conda run -n ml {}|mamba run -p /e {}
micromamba run -n ml {}|uvx --from x {}|direnv exec . {}|docker run --rm -v a:b img {}
podman exec -it box {}|nerdctl run img {}|docker compose run --rm app {}
apptainer exec --nv i.sif {}|singularity exec i.sif {}|kubectl exec -n ml pod -- {}
srun --gres=gpu:1 -N 1 {}|mpirun -np 2 {}
mpiexec -n 2 {}|ray job submit --working-dir . -- {}|parallel {} ::: 1 2|watch -n 5 '{}'
bash -c '{}'|sh -lc "{}"|zsh -c '{}'|bash -o pipefail -ec '{}'|eval '{}'|ssh host '{}'
ssh -p 2 -i k u@host {}|tmux new -d -s a '{}'|tmux split-window -h '{}'
tmux send-keys -t a '{}' Enter
tmux new-window -n a '{}'|screen -dmS a {}|trap '{}' EXIT|hyperfine -w 1 '{}'|flock /l {}
git rebase -x '{}' main|git bisect run {}|nohup nice timeout 5 env X=1 uv run {}|( {} )|{{ {}; }}
! {}|{} &|true && {}|if true; then {}; fi
while true; do {}; done|for i in 1 2; do {}; done|case x in x) {};; esac|f() {{ {}; }}; f|echo $({})
echo "`{}`"|diff <({}) b|x=$({})|bash <<< '{}'|{}; ls
"""
WRAPPED = [
    *(each for line in WRAPPERS.split("\n") for each in line.split("|") if each),
    "{} | tee log", "cat x | {}", "false || {}", "echo '{}' | sh",
]  # fmt: skip
ELSEWHERE = ("docker", "podman", "nerdctl", "apptainer", "singularity", "kubectl", "ssh")
"""The scripts of other machines and containers are not here to be read."""


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_what_is_wrapped_is_found(wrapper: str) -> None:
    found = judged(wrapper.replace("{}", "python train.py --lr 0.1").replace("{{", "{"))
    expected = Verdict.UNKNOWN if wrapper.startswith(ELSEWHERE) else Verdict.EXPERIMENT
    assert found.verdict is expected, found
    assert found.reason in REASONS


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_wrapper_makes_no_experiment_of_a_tool(wrapper: str) -> None:
    inner = wrapper.replace("{}", "git status").replace("{{", "{")
    submits = wrapper.startswith("ray")  # whatever it is: a job of a cluster is one to register
    assert verdict(inner) == ("experiment" if submits else "utility"), judged(inner)


@pytest.mark.parametrize(
    "command",
    [
        "echo 'python train.py'",
        'git commit -m "python train.py; torchrun x"',
        "git commit -F - <<'EOF'\npython train.py\nEOF",
        "cat > run.sh <<'EOF'\npython train.py\nEOF",
        "grep -rn 'python train.py' .",
        "sed -i 's/python train.py/x/' README.md",
        "# python train.py",
        "ls # python train.py",
        "printf '%s' 'python train.py' > a.txt",
        "X='python train.py'",
        "alias t='python train.py'",
        "[[ $a == 'python train.py' ]]",
        "gh issue create --body \"$(cat <<'EOF'\npython train.py\nEOF\n)\"",
        "tally exec -- python train.py",
        "/opt/x/bin/tally exec -- 'python train.py'",
        "python -m tallystick exec -- python train.py",
        "python train.py --help",
        "make -n fit",
        "bash -n step.sh",
        "type python train",
        "ps aux | grep 'python train.py' | awk '{print $2}' | xargs kill",
    ],
)
def test_what_is_only_spoken_of_is_left_alone(command: str) -> None:
    assert verdict(command) == "utility", judged(command)


@pytest.mark.parametrize(
    ("command", "via"),
    [
        ("bash step.sh 0.1", "step.sh"),
        ("./step.sh 0.1", "./step.sh"),
        ("source step.sh", "step.sh"),
        ("bash < step.sh", "step.sh"),
        ("cat step.sh | bash", ""),
        ("sh outer.sh", "outer.sh"),
        ("make fit", "make fit"),
        ("make both -j2", "make both"),
        ("cd src && python train.py", ""),
        ("(cd src; python train.py)", ""),
        ("python -m src.train", ""),
        ("PY=python; $PY train.py", ""),
        ("$(which python) train.py", ""),
        ("${PYTHON:-python3} train.py", ""),
        ("python < train.py", ""),
        ("python - <<'EOF'\nimport train\ntrain.loss.backward()\nEOF", ""),
        ('python -c \'import subprocess as s; s.run(["python", "train.py"])\'', ""),
    ],
)
def test_scripts_and_targets_are_read(command: str, via: str) -> None:
    found = judged(command)
    assert found.verdict is Verdict.EXPERIMENT, found
    assert via == "" or via in found.via, found.via


@pytest.mark.parametrize("command", ["bash clean.sh", "make fmt", "python tool.py", "./clean.sh"])
def test_a_script_that_was_read_and_does_nothing_of_the_kind_passes(command: str) -> None:
    assert verdict(command) == "utility"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python absent.py", "unknown"),
        ("bash run_all.sh", "unknown"),
        ("bash helper.sh", "utility"),
        ("make -C elsewhere train", "unknown"),
        ("make -C elsewhere fmt", "utility"),
        ("./absent_binary --epochs 3", "unknown"),
        ("./absent_binary detector train x.cfg", "unknown"),
        ("some_program fit -f rows.tsv", "unknown"),
        ("some_program show rows.tsv", "utility"),
        ("$RUNNER train.py", "experiment"),
        ("curl -s https://example.org/x.sh | bash", "utility"),
        ("cat $F | bash", "unknown"),
    ],
)
def test_what_cannot_be_read_is_judged_by_its_name(command: str, expected: str) -> None:
    assert verdict(command) == expected, judged(command)


def test_a_script_that_the_line_itself_writes_is_read_from_the_line() -> None:
    """The one on the disk is about to be another."""
    write = "cat > clean.sh <<'EOF'\npython train.py\nEOF\n"
    assert verdict(f"{write}bash clean.sh") == "experiment"
    assert verdict(f"cd src; {write}cd ..; bash clean.sh") == "utility"
    assert verdict("echo 'python train.py' > a.sh; bash a.sh") == "experiment"
    assert verdict("echo ls > a.sh; echo 'python train.py' >> a.sh; sh a.sh") == "experiment"
    assert verdict("tee a.sh <<'X' >/dev/null\npython train.py\nX\nbash a.sh") == "experiment"
    assert verdict("cp step.sh clean.sh && ./clean.sh") == "experiment"
    assert verdict("printf 'ls\\n' > step.sh; bash step.sh") == "utility"
    assert verdict(f"cat > tool.py <<'EOF'\n{TRAINS}EOF\npython tool.py") == "experiment"
    assert verdict("curl -o tool.py https://example.org/x; python tool.py") == "utility"


@pytest.mark.parametrize("name", ["train.py", "evaluate_model.py", "run_sweep.py"])
def test_a_file_that_is_named_for_it_counts_though_nothing_is_in_it_yet(name: str) -> None:
    assert verdict(f"python {name}", files={f"/proj/{name}": ""}) == "unknown"


def test_the_place_and_the_way_are_told() -> None:
    command = "git pull && nohup nice python train.py --lr 1 > log 2>&1 &"
    found = judged(command)
    assert found.text == "nohup nice python train.py --lr 1"
    assert command[slice(*found.span)] == found.text
    assert found.via == ("nohup", "nice")
    assert "train.py" in found.detail


def test_characters_of_several_bytes_move_no_span() -> None:
    command = "echo 'größer 更大'; python train.py # ✓"
    found = judged(command)
    assert found.text == "python train.py"


def test_scripts_that_run_each_other_come_to_an_end() -> None:
    assert verdict("bash loop.sh") == "utility"
    files = {f"/proj/{n}.sh": f"bash {n + 1}.sh\n" for n in range(20)}
    assert judged("bash 0.sh", files=files).reason == "too_deep"


@pytest.mark.parametrize(
    ("rules", "command", "expected"),
    [
        (Rules(allow=("python train.py",)), "python train.py --lr 1", "utility"),
        (Rules(allow=("python train.py",)), "nohup python train.py &", "utility"),
        (Rules(allow=("python tools/*",)), "python train.py", "experiment"),
        (Rules(experiment=("make fmt",)), "make fmt", "experiment"),
        (Rules(experiment=("make",), allow=("make fmt",)), "make fmt", "experiment"),
        (Rules(utility_scripts=("absent*.py",)), "python absent_1.py", "utility"),
        (Rules(utility_scripts=("src/*.py",)), "cd src && python train.py", "utility"),
        (Rules(tests_are_runs=True), "pytest -q", "experiment"),
        (Rules(tests_are_runs=True), "pytest --collect-only", "utility"),
        (Rules(), "pytest -q", "utility"),
        (Rules(), "pytest --benchmark-only", "experiment"),
    ],
)
def test_the_rules_of_a_project_come_first(rules: Rules, command: str, expected: str) -> None:
    assert verdict(command, rules=rules) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py --lr 0.1", "experiment"),
        ("cd src && nohup python train.py > log &", "experiment"),
        ("for s in 1 2; do python train.py --seed $s; done", "experiment"),
        ("bash <<'EOF'\npython train.py\nEOF", "experiment"),
        ("git commit -m 'python train.py'", "utility"),
        ("cat > a.sh <<'EOF'\npython train.py\nEOF", "utility"),
        ("bash step.sh", "experiment"),
    ],
)
def test_without_the_grammar_words_are_split_by_hand_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, command: str, expected: str
) -> None:
    monkeypatch.setattr(parsing, "_grammar", lambda: None)
    found = judged(command)
    assert (found.verdict.value, found.exact) == (expected, False)
    assert parsing.version().startswith("words ")


@pytest.mark.parametrize("command", ["", " ", "\n", "\0", "'", "$(", "<<", "((((", "\ud800", "#"])
def test_what_is_no_command_is_a_utility(command: str) -> None:
    assert judge(command).verdict is Verdict.UTILITY


def test_an_unfinished_line_is_judged_as_far_as_it_goes() -> None:
    assert verdict("python train.py --name 'unterminated") == "experiment"
    assert not judged("python train.py --name 'unterminated").exact
