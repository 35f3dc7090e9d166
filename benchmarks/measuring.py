"""What the benchmarks share: rounds that take turns, peaks of memory, the machine, the results' two files.

Nothing here imports torch before it is used, so that processes that only decode stay light.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Work = Callable[[], Any]


def command_line(script: str, before: str = "OMP_NUM_THREADS=1 PYTHONPATH=src") -> str:
    """Say how a benchmark was started, from the repository's root.

    Args:
        script: its ``__file__``.
        before: variables that belong to it.
    """
    return f"{before} python benchmarks/{Path(script).name} {shlex.join(sys.argv[1:])}".strip()


def take_turns(
    ways: Mapping[str, Work],
    rounds: int,
    *,
    warm: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Time ways side by side: in each round every way runs once, so that other work disturbs all alike.

    Args:
        ways: what to run, by name.
        rounds: rounds that count.
        warm: rounds before them that do not.
        clock: CPU time of the process by default.

    Returns:
        Seconds of every counted round, by name.
    """
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-warm, rounds):
        for name, work in ways.items():
            begin = clock()
            work()
            if turn >= 0:
                spent[name].append(clock() - begin)
    return spent


def clock_of(device: str) -> Callable[[], float]:
    """CPU time of the process, or for a GPU the wall time after everything that was asked of it is done."""
    if device == "cpu":
        return time.process_time
    import torch

    def finished() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return finished


def peak_extra_mb(work: Work, device: str = "cpu") -> float | None:
    """Most memory that work takes beside what is held already, in MiB.

    On a CPU the growth of the process's largest resident size (None where that is not Linux), on a GPU that
    of the allocator.
    """
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        work()
        return float(torch.cuda.max_memory_allocated() - held) / 2**20
    try:
        # Freed memory that the allocator holds on to would hide what the work takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status_kb("VmRSS")
        work()
        return max(0.0, (_status_kb("VmHWM") - before) / 1024)
    except (OSError, AttributeError):
        return None


def _status_kb(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def processor() -> str:
    """Name the processor and count its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


CLASSES = ("AVX2", "AVX-512 with VNNI", "AVX-512 with VNNI and bf16")
"""Classes of processors that have a section in any case; others get one where they are measured."""

_FEATURES = (
    "avx2",
    "avx_vnni",
    "avx512_f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "bf16",
    "i8mm",
)


def features() -> list[str]:
    """Name what the processor can do of what decides between number formats."""
    import torch

    able = torch.cpu.get_capabilities()
    return [name for name in _FEATURES if able.get(name)]


def processor_class(able: Sequence[str]) -> str:
    """Name the class of a processor by its :func:`features`: machines of one class have the same kernels.

    Raises:
        SystemExit: the processor imitates a lesser one, whose timings these would not be.
    """
    imitating = [
        name for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_CBWR") if os.environ.get(name)
    ]
    if imitating:
        raise SystemExit(
            f"{' and '.join(imitating)} imitates another processor, of which no timing can be taken: unset it"
        )
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return platform.machine()
    amx = ("AMX",) if {"amx_int8", "amx_bf16"} & set(able) else ()
    bf16 = ("bf16",) if "avx512_bf16" in able else ()
    vnni = ("VNNI",) if {"avx512_vnni", "avx_vnni"} & set(able) else ()
    more = [*vnni, *bf16, *amx]
    name = "AVX-512" if "avx512_f" in able else "AVX2" if "avx2" in able else "SSE"
    if not more:
        return name
    return f"{name} with {more[0] if len(more) == 1 else ', '.join(more[:-1]) + ' and ' + more[-1]}"


def graphics(device: str) -> str | None:
    """Name the GPU, None where a CPU computes."""
    if device == "cpu":
        return None
    import torch

    return torch.cuda.get_device_name()


def machine(device: str = "cpu") -> dict[str, Any]:
    """What a reader of timings has to know of where they were taken."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "graphics": graphics(device),
        "load": load,
        "torch": version("torch"),
    }


def where(facts: Mapping[str, Any]) -> str:
    """Put :func:`machine` into words, with what else the processors had to do."""
    if facts.get("graphics"):
        return f"{facts['graphics']}, torch {facts['torch']}"
    load = facts["load"]
    # One is the benchmark's own.
    shared = ", shared with other work" if load is not None and load > 1.5 else ""
    shared += "" if load is None else f" (load {load:g} at the end)"
    return f"{facts['processor']}, torch {facts['torch']}{shared}"


def rows_of(head: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> list[str]:
    """Lay out a Markdown table; the first ``left`` columns stand left, the others right."""
    rule = "|---" * left + "|---:" * (len(head) - left) + "|"
    first, *others = (f"| {' | '.join(map(str, line))} |" for line in (head, *rows))
    return [first, rule, *others]


def write_by_class(
    folder: Path,
    name: str,
    title: str,
    measured: Mapping[str, Any],
    section: Callable[[Mapping[str, Any]], str],
) -> None:
    """Write the section of this processor's class into ``name.json`` and ``name.md``; the others stay.

    Args:
        folder: where the files are.
        name: of the files.
        title: heading of the page.
        measured: what is written; its ``able`` are the processor's :func:`features`.
        section: puts what was found on a machine into words, without a heading.
    """
    file = folder / f"{name}.json"
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known[processor_class(measured["able"])] = dict(measured)
    write_results(folder, name, known, page_by_class(title, known, section))


def page_by_class(title: str, known: Mapping[str, Any], section: Callable[[Mapping[str, Any]], str]) -> str:
    """Lay out a page with a section for each class of processor, in the order of :data:`CLASSES`."""
    parts = [f"# {title}", _ABOUT_CLASSES]
    for class_name in [*CLASSES, *sorted(set(known) - set(CLASSES))]:
        parts += [
            f"## {class_name}",
            section(known[class_name]).strip() if class_name in known else _UNMEASURED,
        ]
    return "\n\n".join(parts) + "\n"


_ABOUT_CLASSES = (
    "A section for each class of processor: which number formats are right and fast depends on it. The "
    "command\nthat stands in a section wrote it, on a machine of that class, and left the others alone."
)
_UNMEASURED = "Not measured yet: that takes a machine of this class."


def write_results(folder: Path, name: str, measured: object, page: str, device: str = "cpu") -> None:
    """Write ``name.json`` and ``name.md``, of a GPU ``name-gpu``, and show the page."""
    name += "" if device == "cpu" else "-gpu"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    print(page, end="", flush=True)
