"""What agents read before they call anything: the instructions, and a description of each tool.

Agents' programs cut both at 2 KB, so the first lines say what matters.
"""

from typing import Final

INSTRUCTIONS: Final = """\
Tallystick: every trial (training, evaluation, tuning, benchmark) is a registered run in a sweep, \
executed by the server and kept in a ledger that anyone can verify. Never start one from the \
shell, \
with & or nohup, in tmux or a notebook: it would have no record and count as non-compliant.

Flow
1. submit_runs(name, command, parameters, seeds, goal): one call makes a sweep with one run for \
each \
configuration and starts as many as fit. For single trials: register_sweep, then register_run with \
its sweep_id. Reuse the sweep of the same question.
2. wait_run(sweep_id=… or run_id=…) answers at the end or after 50 s; call it again to go on. Do \
not \
poll and do not sleep. For hours of work say what is running and stop.
3. get_run(run_id, output_bytes=2000) says why a run failed; list_runs and get_sweep find results. \
Report run ids, how many runs were tried, failed ones too, and only what the server recorded.

Rules
- One configuration is one run; a loop inside a command hides them. Fixed script path, a seed, an \
output directory of its own.
- Ask for everything at once: the queue starts what has room and leases GPUs. Never set \
CUDA_VISIBLE_DEVICES; say gpus=2, memory_mb, timeout_seconds, retries instead.
- Secrets go into env, nowhere else.
- The conversation (chat_session_id) is found by itself; send it when a refusal says \
session_required.
- A refusal is an error result with code, detail, hint and next_actions: make the call it names. \
server_not_running: ask the researcher to run `tally up`; never execute directly instead.
- Warnings (R101 no-seed, …) come with accepted calls: mend them in the next one.
- stop_run needs confirm=true.
tally_help(topic) explains more: protocol, registering, operating, parallel, converting.
"""

DESCRIPTIONS: Final = {
    "register_sweep": """\
Create a sweep: a named container for the runs that answer one question. Then add runs with \
register_run, or fill it with submit_runs(sweep_id=…). For a grid call submit_runs right away: it \
makes its own sweep.
Example: {"name": "mnist lr grid", "goal": "which learning rate reaches 0.97 first"}""",
    "register_run": """\
Register one trial in a sweep; the server executes it as soon as there is room. One configuration, \
no loop in the command. Answers its id at once: then wait_run(run_id). For several configurations \
use submit_runs.
Example: {"name": "mlp-lr1e-2-seed1", "command": "python train.py --lr 0.01 --seed 1", \
"sweep_id": "swp_0123456789ab", "workdir": "/home/me/project", "params": {"lr": 0.01, "seed": \
1}}""",
    "submit_runs": """\
Declare a grid (parameters, seeds) or explicit points: each configuration becomes exactly one run \
of \
one sweep, and as many as fit are started. Values go where the command has {name}, else \
`--name=value` \
is added. Nothing is cut silently. Answers the sweep: then wait_run(sweep_id).
Example (12 runs): {"name": "mnist lr grid", "command": "python train.py", "parameters": {"lr": \
[0.1, \
0.03, 0.01, 0.003]}, "seeds": 3, "workdir": "/home/me/project", "goal": "which lr reaches 0.97 \
first"}
Explicit: {"name": "two", "command": "python train.py --lr {lr} --depth {depth}", "points": \
[{"lr": 0.1, \
"depth": 2}, {"lr": 0.01, "depth": 4}]}""",
    "get_run": """\
One run as it is now: status, exit code, reason, last metrics, and the end of its output when \
output_bytes is given. To wait for its end use wait_run instead of asking again.
Example: {"run_id": "run_0123456789ab", "output_bytes": 2000}""",
    "wait_run": """\
Wait until a run, or every run of a sweep, has ended. Answers at once when it has, else after \
timeout_s (at most 55) with ended=false: call it again to go on. Use this instead of sleeping or \
polling.
Example: {"sweep_id": "swp_0123456789ab"}""",
    "list_runs": """\
Runs, newest first or by sort: of a sweep, with a status, of this conversation (mine=true), or \
those that a filter finds.
Example: {"sweep_id": "swp_0123456789ab", "sort": "metric.val/loss", "limit": 5}""",
    "get_sweep": """\
One sweep as it is now: how many runs are queued, running, completed or failed, and their ids. To \
wait for its end use wait_run(sweep_id).
Example: {"sweep_id": "swp_0123456789ab"}""",
    "stop_run": """\
Stop a run, or everything of a sweep that is queued or running. Without confirm=true it only says \
what would be stopped. A run is stopped once all its processes are dead; what it recorded is kept.
Example: {"run_id": "run_0123456789ab", "confirm": true}""",
    "get_brief": """\
Where the work of this conversation stands: what was tried, failures with causes, what runs now, \
open alerts, budget left. Call it first after your context was compacted, or in the morning.
Example: {}""",
    "tally_help": """\
The protocol in full: a page (protocol, registering, operating, parallel, converting), or every \
line \
with a word in it, such as a refusal's code. Works without a server.
Example: {"topic": "session_required"}""",
    "create_run": """\
An older name of register_run, for agents that know it: create_run(name, command, workdir, \
sweep_id, \
launch_policy, gpuwrap_config). launch_policy `ready` leaves the run until start_run(run_id); \
`queued` and `start_now` start it as soon as there is room.
Example: {"name": "mlp-lr1e-2", "command": "python train.py --lr 0.01", "sweep_id": \
"swp_0123456789ab", "launch_policy": "start_now"}""",
    "start_run": """\
Let the queue start a run that is ready; harmless when it is queued or running already.
Example: {"run_id": "run_0123456789ab"}""",
}
"""By the name of the tool."""
