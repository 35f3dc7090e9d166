"""Processors that the one at hand can imitate: oneDNN and ATen use only what the environment names.

MKL, FBGEMM and ``torch.cpu`` still see the real processor. So an imitation proves that results are right; no
timing comes from it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["SETTINGS", "imitable", "marked_files", "run_marked"]

ROOT = Path(__file__).parents[1]

SETTINGS: dict[str, dict[str, str]] = {
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX-512 with VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
}
"""What a processor can do at most, and the environment that makes another one do no more."""


def imitable() -> bool:
    """Return whether this processor is one of those that can imitate others."""
    return platform.machine().lower() in ("x86_64", "amd64")


def marked_files() -> list[str]:
    """Return the test files with tests of the mark, so that the others need not be imported."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file) for file in files if "mark.processor" in file.read_text("utf-8")]


def run_marked(setting: str | None, **environment: str) -> str:
    """Run the tests marked ``processor`` in one process that imitates a processor.

    Args:
        setting: a key of :data:`SETTINGS`; None is the processor as it is.
        environment: variables beside it.

    Returns:
        What pytest printed; raises AssertionError with it where a test failed.
    """
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "ONEDNN_", "ATEN_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "processor", *marked_files()],
        cwd=ROOT,
        env=known | (SETTINGS[setting] if setting else {}) | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{setting}:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return done.stdout
