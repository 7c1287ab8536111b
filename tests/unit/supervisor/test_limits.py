"""Limits are held where the host can hold them, and no end is called out of memory that was not."""

import os
from pathlib import Path

import pytest

from tallystick.supervisor.limits import (
    ABANDONED_SECONDS,
    Exhausted,
    Group,
    Host,
    Limits,
    device_memory_line,
)

MIB = 1024 * 1024
KILLED = -9
KERNEL_FILES = (
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "cgroup.procs",
)


def host_with(root: Path, *, own: str = "/user/app", kills: int = 0) -> Host:
    """A host whose kernel files are ordinary ones; new groups come with theirs."""
    place = root / "cgroups" / own.lstrip("/")
    place.mkdir(parents=True)
    (root / "cgroups" / "cgroup.controllers").write_text("cpu memory\n")
    (root / "cgroup").write_text(f"8:pids:/elsewhere\n0::{own}\n")
    (root / "vmstat").write_text(f"nr_free_pages 7\noom_kill {kills}\npgfault 9\n")
    return Host(cgroups=root / "cgroups", own_cgroup=root / "cgroup", vmstat=root / "vmstat")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory made below `cgroups` has the files of a cgroup, as the kernel provides them."""
    make = Path.mkdir

    def mkdir(self: Path, *args: int, **kwargs: bool) -> None:
        make(self, *args, **kwargs)  # type: ignore[arg-type]
        for name in KERNEL_FILES:
            (self / name).write_text("")
        (self / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")

    monkeypatch.setattr(Path, "mkdir", mkdir)


def limits_on(host: Host, *, memory_mib: int | None = 64) -> Limits:
    memory = None if memory_mib is None else memory_mib * MIB
    return Limits(name="att_1", timeout_seconds=None, memory_bytes=memory, host=host)


def output(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "output.log"
    path.write_text(text)
    return path


class TestGroup:
    @pytest.mark.usefixtures("kernel")
    def test_the_child_is_put_into_a_group_with_the_limit_and_without_swap(
        self, tmp_path: Path
    ) -> None:
        host = host_with(tmp_path)
        (tmp_path / "cgroups/user/app/cgroup.subtree_control").write_text("memory pids\n")
        limits = limits_on(host)
        limits.confine(4711)
        group = tmp_path / "cgroups/user/app/tally-att_1"
        assert limits.missing is None
        assert (group / "memory.max").read_text() == str(64 * MIB)
        assert (group / "memory.swap.max").read_text() == "0"
        assert (group / "memory.oom.group").read_text() == "1"
        assert (group / "cgroup.procs").read_text() == "4711"

    @pytest.mark.usefixtures("kernel")
    def test_the_group_above_ours_is_taken_where_ours_holds_processes(self, tmp_path: Path) -> None:
        host = host_with(tmp_path)
        (tmp_path / "cgroups/user/cgroup.subtree_control").write_text("memory\n")
        limits = limits_on(host)
        limits.confine(1)
        assert limits.missing is None
        assert (tmp_path / "cgroups/user/tally-att_1/cgroup.procs").read_text() == "1"

    @pytest.mark.usefixtures("kernel")
    def test_a_host_that_has_only_version_1_for_memory_holds_the_limit_too(
        self, tmp_path: Path
    ) -> None:
        host = host_with(tmp_path)
        host.own_cgroup.write_text("4:cpu,memory:/job\n3:pids:/job\n0::/\n")
        (tmp_path / "cgroups/memory/job").mkdir(parents=True)
        limits = limits_on(host)
        limits.confine(4711)
        group = tmp_path / "cgroups/memory/job/tally-att_1"
        assert limits.missing is None
        assert (group / "memory.limit_in_bytes").read_text() == str(64 * MIB)
        assert (group / "memory.memsw.limit_in_bytes").read_text() == str(64 * MIB)
        assert (group / "cgroup.procs").read_text() == "4711"
        assert limits.exhausted(KILLED, output(tmp_path, "")) is None
        (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
        found = limits.exhausted(KILLED, output(tmp_path, ""))
        assert found == Exhausted("kernel_out_of_memory", "its limit of 64 MiB was reached")

    def test_a_host_without_such_groups_says_so_and_limits_nothing(self, tmp_path: Path) -> None:
        limits = limits_on(Host(cgroups=tmp_path, own_cgroup=tmp_path / "none"))
        limits.confine(1)
        assert limits.missing is not None
        assert "64 MiB" in limits.missing
        assert "not enforced" in limits.missing
        assert limits.exhausted(KILLED, tmp_path / "none") is None

    def test_a_group_that_takes_no_limit_is_removed_again(self, tmp_path: Path) -> None:
        host = host_with(tmp_path)
        for place in ("user/app", "user"):
            (tmp_path / "cgroups" / place / "cgroup.subtree_control").write_text("memory\n")
        limits = limits_on(host)  # a directory without memory.max: no kernel behind it
        limits.confine(1)
        assert limits.missing is not None
        assert list((tmp_path / "cgroups").rglob("tally-*")) == []

    def test_no_limit_makes_no_group(self, tmp_path: Path) -> None:
        limits = limits_on(host_with(tmp_path), memory_mib=None)
        limits.confine(1)
        assert limits.missing is None
        assert list((tmp_path / "cgroups").rglob("tally-*")) == []

    @pytest.mark.usefixtures("kernel")
    def test_empty_groups_of_killed_supervisors_are_removed_and_new_ones_stay(
        self, tmp_path: Path
    ) -> None:
        host = host_with(tmp_path)
        place = tmp_path / "cgroups/user/app"
        (place / "cgroup.subtree_control").write_text("memory\n")
        for name in ("tally-old", "tally-new"):
            os.mkdir(place / name)  # noqa: PTH102 - empty, as rmdir sees a cgroup
        aged = (place / "tally-new").stat().st_mtime - ABANDONED_SECONDS - 5
        os.utime(place / "tally-old", (aged, aged))
        limits_on(host).confine(1)
        left = sorted(path.name for path in place.glob("tally-*"))
        assert left == ["tally-att_1", "tally-new"]

    @pytest.mark.usefixtures("kernel")
    def test_a_group_in_which_the_command_made_groups_is_removed_with_them(
        self, tmp_path: Path
    ) -> None:
        group = Group(tmp_path / "tally-att_1", limit_bytes=64 * MIB, unified=True)
        for file in group.path.iterdir():
            file.unlink()  # those of a cgroup vanish with it
        os.makedirs(group.path / "inner" / "innermost")  # noqa: PTH103 - empty, as above
        os.mkdir(group.path / "beside")  # noqa: PTH102
        group.remove()
        assert not group.path.exists()

    def test_a_group_in_which_a_process_is_left_stays_for_a_later_one(self, tmp_path: Path) -> None:
        host = host_with(tmp_path)
        place = tmp_path / "cgroups/user/app"
        (place / "cgroup.subtree_control").write_text("memory\n")
        for name in ("tally-old/inner", "tally-held/inner", "tally-held/other"):
            (place / name).mkdir(parents=True)
        (place / "tally-held/inner/process").touch()  # refuses rmdir, as a process in it does
        for name in ("tally-old", "tally-held"):
            aged = (place / name).stat().st_mtime - ABANDONED_SECONDS - 5
            os.utime(place / name, (aged, aged))
        limits_on(host).confine(1)
        assert sorted(path.name for path in place.glob("tally-*")) == ["tally-held"]


class TestKernel:
    @pytest.mark.usefixtures("kernel")
    def test_a_kill_that_the_runs_own_group_counts_is_out_of_memory(self, tmp_path: Path) -> None:
        host = host_with(tmp_path)
        place = tmp_path / "cgroups/user/app"
        (place / "cgroup.subtree_control").write_text("memory\n")
        limits = limits_on(host)
        limits.confine(1)
        log = output(tmp_path, "step 1\n")
        assert limits.exhausted(KILLED, log) is None
        (place / "tally-att_1/memory.events").write_text("oom 1\noom_kill 2\n")
        found = limits.exhausted(KILLED, log)
        assert found == Exhausted("kernel_out_of_memory", "its limit of 64 MiB was reached")
        assert limits.exhausted(0, log) is None

    @pytest.mark.parametrize("status", [KILLED, 137])
    def test_a_kill_while_the_host_ran_out_of_memory_is_called_suspected(
        self, tmp_path: Path, status: int
    ) -> None:
        limits = limits_on(host_with(tmp_path, kills=3), memory_mib=None)
        log = output(tmp_path, "")
        assert limits.exhausted(status, log) is None
        (tmp_path / "vmstat").write_text("oom_kill 4\n")
        found = limits.exhausted(status, log)
        assert found is not None
        assert found.code == "kernel_out_of_memory"
        assert found.words.startswith("suspected: ")

    @pytest.mark.parametrize("status", [0, 1, 143, -15, -11])
    def test_another_end_is_not_even_suspected(self, tmp_path: Path, status: int) -> None:
        limits = limits_on(host_with(tmp_path), memory_mib=None)
        (tmp_path / "vmstat").write_text("oom_kill 1\n")
        assert limits.exhausted(status, output(tmp_path, "")) is None


SAID = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has …",
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB",
    "RuntimeError: CUDA out of memory. Tried to allocate 256.00 MiB (GPU 0; 8.00 GiB total)",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to …",
    "XlaRuntimeError: RESOURCE_EXHAUSTED: Failed to allocate request for 16.00GiB",
    "E external/xla: failed to alloc 1073741824 bytes: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{…}} OOM when allocating",
    "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,000,000,000 bytes",
    "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.00 GiB",
)
OTHERS = (
    "MemoryError",
    "RuntimeError: CUDA error: device-side assert triggered",
    "grpc: RESOURCE_EXHAUSTED: quota exceeded",
    "OSError: [Errno 28] No space left on device",
    "",
)


class TestDevice:
    @pytest.mark.parametrize("line", SAID)
    def test_what_a_library_says_is_understood(self, line: str) -> None:
        found = device_memory_line(["Traceback (most recent call last):", line, "and more"])
        assert found is not None
        assert found in line

    @pytest.mark.parametrize("line", OTHERS)
    def test_other_trouble_is_none(self, line: str) -> None:
        assert device_memory_line([line]) is None

    def test_a_command_that_succeeded_is_never_out_of_memory(self, tmp_path: Path) -> None:
        limits = limits_on(host_with(tmp_path), memory_mib=None)
        log = output(tmp_path, SAID[0] + "\nsmaller batch\ndone\n")
        assert limits.exhausted(0, log) is None
        found = limits.exhausted(1, log)
        assert found is not None
        assert found.code == "cuda_out_of_memory"

    def test_what_was_survived_long_ago_does_not_count(self, tmp_path: Path) -> None:
        limits = limits_on(host_with(tmp_path), memory_mib=None)
        log = output(tmp_path, SAID[0] + "\n" + "epoch\n" * 60 + "KeyError: 'loss'\n")
        assert limits.exhausted(1, log) is None

    def test_a_long_line_is_cut_around_what_matters(self) -> None:
        found = device_memory_line(["x" * 5_000 + " CUDA out of memory. " + "y" * 5_000])
        assert found is not None
        assert len(found) <= 200
        assert "CUDA out of memory" in found
