"""A memory limit that a process sets itself: Linux refuses more; elsewhere the process watches its size."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["EXIT_OUT_OF_MEMORY", "end_out_of_memory", "largest_bytes", "limit_memory"]

EXIT_OUT_OF_MEMORY = 86
"""Exit status of a process that needed more memory than its limit."""

_WATCH_SECONDS = 0.05


def end_out_of_memory() -> NoReturn:
    """End this process in the way that its parent understands as too much memory.

    Without clean-up: that would need memory.
    """
    os._exit(EXIT_OUT_OF_MEMORY)


def limit_memory(limit_bytes: int, *, watch: bool = not sys.platform.startswith("linux")) -> None:
    """Limit what this process may take from now on; an allocation beyond it fails, or the process ends.

    Args:
        limit_bytes: beyond what it holds now.
        watch: look at the size many times a second and end the process when it is too large, as on systems
            that keep no limit; otherwise Linux refuses the allocation that goes beyond it.
    """
    if not watch:
        _refuse_memory(limit_bytes)
        return
    most = largest_bytes() + limit_bytes

    def watch_size() -> None:
        while largest_bytes() < most:
            time.sleep(_WATCH_SECONDS)
        end_out_of_memory()

    threading.Thread(target=watch_size, daemon=True).start()


def _refuse_memory(limit_bytes: int) -> None:
    """Have Linux count what is the process's own and can be written, and refuse more of it."""
    import resource

    # A crash of a process near its limit would leave as large a file behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_DATA counts private mappings since Linux 4.7. RLIMIT_AS would count what is reserved, and files.
    limit = _bytes_on_linux("VmData:") + limit_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def largest_bytes() -> int:
    """The most memory that this process has had at once."""
    if sys.platform == "win32":
        return _largest_bytes_on_windows()
    if sys.platform.startswith("linux"):
        # getrusage would also count what the parent held when it forked this process.
        return _bytes_on_linux("VmHWM:")
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # ru_maxrss is in bytes on macOS and in KiB everywhere else.
    return largest if sys.platform == "darwin" else largest * 1024


def _bytes_on_linux(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _largest_bytes_on_windows() -> int:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", ctypes.c_uint32),
            ("page_faults", ctypes.c_uint32),
            ("largest_working_set", ctypes.c_size_t),
            ("working_set", ctypes.c_size_t),
            ("largest_paged_pool", ctypes.c_size_t),
            ("paged_pool", ctypes.c_size_t),
            ("largest_nonpaged_pool", ctypes.c_size_t),
            ("nonpaged_pool", ctypes.c_size_t),
            ("committed", ctypes.c_size_t),
            ("largest_committed", ctypes.c_size_t),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel: Any = vars(ctypes)["windll"].kernel32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    # What was promised, not the working set, which Windows trims as it likes.
    return int(counters.largest_committed)
