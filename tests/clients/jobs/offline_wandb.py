"""Logs with wandb, offline, as scripts do."""

import json
import math

import wandb

logged = {}
run = wandb.init(project="p", mode="offline", config={"lr": 0.1, "deep": {"layers": 3}})
for step in range(2_000):
    row = {"loss": 1 / (step + 1), "big": 2**53 - step, "nested": {"x": step / 7}}
    wandb.log(row | {"text": "not a number"})
    for name, value in (("loss", row["loss"]), ("big", row["big"]), ("nested.x", step / 7)):
        logged.setdefault(name, []).append([step, str(float(value))])
for step, value in ((5_000, math.nan), (5_001, math.inf), (5_002, -math.inf)):
    wandb.log({"odd": value}, step=step)
    logged.setdefault("odd", []).append([step, str(value)])
run.summary["best"] = 0.5
wandb.finish()
short = {
    name: points if len(points) < 10 else points[:3] + points[-3:]
    for name, points in logged.items()
}
print(json.dumps({"logged": short, "points": {name: len(held) for name, held in logged.items()}}))
