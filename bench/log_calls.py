"""Times one `log` call, a thousand times over; run by a Python that has the client.

    python bench/log_calls.py tallystick|trackio COUNT

Prints JSON: microseconds of each call, two metrics and a step in each.
"""

import json
import sys
import time


def main(client: str, count: int) -> None:
    """Log `count` rows one after another, as a training loop would."""
    if client == "trackio":
        import trackio  # noqa: PLC0415

        trackio.init(project="bench")

        def log(step: int) -> None:
            trackio.log({"loss": 1 / (step + 1), "accuracy": 0.5}, step=step)
    else:
        import tallystick  # noqa: PLC0415

        def log(step: int) -> None:
            tallystick.log({"loss": 1 / (step + 1), "accuracy": 0.5}, step=step)

    log(0)
    spent = []
    for step in range(1, count + 1):
        at = time.perf_counter()
        log(step)
        spent.append((time.perf_counter() - at) * 1e6)
    sys.stdout.write(f"\n{json.dumps(spent)}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
