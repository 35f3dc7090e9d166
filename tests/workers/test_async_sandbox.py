from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidsift.errors import SandboxError
from vidsift.workers.async_sandbox import AsyncSandbox
from vidsift.workers.process import ProcessLimits


def test_calls_wait_in_threads_and_closing_ends_what_does_not_finish() -> None:
    others = set(multiprocessing.active_children())
    sandbox = AsyncSandbox(ProcessLimits(), processes=1)

    async def calls() -> None:
        assert await sandbox.run(max, 2, 3) == 3
        with pytest.raises(FileNotFoundError):
            await sandbox.run(os.stat, "there is no such file")
        hanging = asyncio.ensure_future(sandbox.run(time.sleep, 600))
        while not sandbox._sandbox._busy:
            await asyncio.sleep(0.01)
        await asyncio.get_running_loop().run_in_executor(None, sandbox.close, 0.1)
        with pytest.raises(SandboxError, match="crashed"):
            await hanging

    # In a thread of its own: a browser of the page's tests may keep an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, calls()).result()
    assert set(multiprocessing.active_children()) <= others
