"""Where a command says that its files go: the values of options like `--output-dir` and `--logdir`.

Only what is certain: a value with an expansion in it, or one whose directory cannot be known, names
no place. Nothing is looked up.
"""

from posixpath import normpath

from tallystick.shell.lint_rules import outputs
from tallystick.shell.lint_seen import Seen

LONGEST = 65_536
"""Characters; of a longer command nothing is said."""


def output_paths(command: str, *, workdir: str) -> tuple[str, ...]:
    """Absolute paths of files and directories that a command names for its output; never raises.

    Neither a directory above or at the working directory, nor one that everybody writes to, is one.
    """
    if len(command) > LONGEST:
        return ()
    try:
        seen = Seen(workdir=workdir).looking_at(command)
    except RecursionError:
        return ()
    found: dict[str, None] = {}
    for launch in seen.launches:
        for word in outputs(launch):
            if word.text is None:
                continue
            value = word.text.partition("=")[2] if "=" in word.text else word.text
            path = seen.path_of(launch, value) if value else None
            if path is not None and _is_own(path, normpath(workdir)):
                found[path] = None
    return tuple(found)


def _is_own(path: str, workdir: str) -> bool:
    """Whether what lies there can belong to one run."""
    if path == workdir or workdir.startswith(path.rstrip("/") + "/"):
        return False
    return path.count("/") >= 2 and not path.startswith(("/dev/", "/proc/", "/sys/", "/etc/"))
