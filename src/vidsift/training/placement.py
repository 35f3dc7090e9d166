"""Which of several processes this is: as our own launcher says, torchrun, or Slurm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vidsift.errors import SeveralProcessesError

__all__ = ["RENDEZVOUS", "Placement", "first_host", "placement", "refuse_several_processes"]

RENDEZVOUS = "VIDSIFT_RENDEZVOUS"
"""Where the processes of our own launcher meet: a URL of torch.distributed."""

# Set in each process by Open MPI, and by MPICH and Intel MPI; neither says where the processes could meet.
_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_SLURM_PORTS = range(20_000, 50_000)


@dataclass(frozen=True)
class Placement:
    """One of the processes of a run.

    Attributes:
        number: which, from 0, which is the one that writes.
        processes: how many there are.
        local_number: which of those on this machine.
        local_processes: how many are on this machine.
        rendezvous: where they meet, as torch.distributed takes it.
        own_gpu: True if the launcher shows each process its own GPU alone.
    """

    number: int = 0
    processes: int = 1
    local_number: int = 0
    local_processes: int = 1
    rendezvous: str = ""
    own_gpu: bool = False


def placement(environment: Mapping[str, str] = os.environ) -> Placement:
    """Read which process this is from what a launcher left in the environment; alone where none did.

    Understood are ``vidsift train --processes``, torchrun (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``,
    ``LOCAL_WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``) and srun (``SLURM_PROCID``, ``SLURM_LOCALID``,
    ``SLURM_NTASKS``, ``SLURM_STEP_NODELIST``). In a batch script of Slurm, before any srun, this is one.

    Raises:
        SeveralProcessesError: a launcher is not understood, or leaves something out.
    """
    if _is_several("WORLD_SIZE", environment):
        return _of_torchrun(environment)
    # Slurm names the tasks of a job to its batch script too; a step is what srun starts.
    if "SLURM_PROCID" in environment and "SLURM_STEP_ID" in environment:
        return _of_slurm(environment)
    for name in _MPI_SIZES:
        if _is_several(name, environment):
            raise SeveralProcessesError(
                f"{name} is {environment[name]}: this was started by mpirun, which does not say where the "
                "processes can meet. Start it with vidsift train RECIPE --processes N, with torchrun or with "
                f"srun; where {name} is left over, unset it"
            )
    return Placement()


def refuse_several_processes(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to be one of several processes, where each would do all of the work by itself.

    Raises:
        SeveralProcessesError: a launcher says that there are more than one.
    """
    processes = placement(environment).processes
    if processes > 1:
        raise SeveralProcessesError(
            f"this was started as {processes} processes, but a grid is run by one: its runs follow one "
            "another, each on one device. Start it without torchrun or srun; where RANK and WORLD_SIZE are "
            "left over, unset them"
        )


def first_host(nodes: str) -> str:
    """Return the first machine of a list as Slurm writes it.

    Example:
        >>> first_host("gpu[003-007,9],login1")
        'gpu003'
    """
    host = re.match(r"[^,\[]+", nodes)
    start = "" if host is None else host.group()
    inside = re.match(re.escape(start) + r"\[([^],-]+)[^]]*\]([^,\[]*)", nodes)
    return start if inside is None else f"{start}{inside.group(1)}{inside.group(2)}"


def _of_torchrun(environment: Mapping[str, str]) -> Placement:
    processes = _number_of("WORLD_SIZE", environment)
    rendezvous = environment.get(RENDEZVOUS, "env://")
    if rendezvous == "env://":
        _require(("MASTER_ADDR", "MASTER_PORT"), environment)
    number = _number_of("RANK", environment)
    if number >= processes:
        raise SeveralProcessesError(
            f"RANK is {number}, expected 0 to {processes - 1}, as WORLD_SIZE is {processes}; start all "
            "processes with one torchrun"
        )
    local = _number_of("LOCAL_RANK", environment)
    local_processes = _whole_number(environment.get("LOCAL_WORLD_SIZE", str(processes)), "LOCAL_WORLD_SIZE")
    return Placement(number, processes, local, local_processes, rendezvous)


def _of_slurm(environment: Mapping[str, str]) -> Placement:
    # Of the step, where Slurm says it; SLURM_NTASKS is that of the job where a step has fewer.
    size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
    processes = _number_of(size, environment)
    if processes == 1:
        return Placement()
    number, local = (_number_of(name, environment) for name in ("SLURM_PROCID", "SLURM_LOCALID"))
    lists = [
        environment[name] for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST") if name in environment
    ]
    host = environment.get("MASTER_ADDR") or (first_host(lists[0]) if lists else "")
    if not host:
        _require(("SLURM_STEP_NODELIST",), environment)
    # Every process has to come to the same port, and two jobs of a machine to two.
    job = _number_of("SLURM_JOB_ID", environment) * 16 + _number_of("SLURM_STEP_ID", environment)
    port = environment.get("MASTER_PORT") or str(_SLURM_PORTS[job % len(_SLURM_PORTS)])
    # "4(x2),3": tasks on each machine; the first number is right for all but the last machines.
    tasks = re.match(r"\d+", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    local_processes = int(tasks.group()) if tasks else processes
    return Placement(number, processes, local, local_processes, f"tcp://{host}:{port}", own_gpu=True)


def _is_several(name: str, environment: Mapping[str, str]) -> bool:
    size = environment.get(name, "").strip()
    return size.isdigit() and int(size) > 1


def _require(names: tuple[str, ...], environment: Mapping[str, str]) -> None:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise SeveralProcessesError(
            f"a launcher started several processes, but {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set in this one. "
            "Start them with vidsift train RECIPE --processes N, torchrun or srun; where variables of a "
            "launcher are left over, such as WORLD_SIZE, unset them"
        )


def _number_of(name: str, environment: Mapping[str, str]) -> int:
    _require((name,), environment)
    return _whole_number(environment[name], name)


def _whole_number(text: str, name: str) -> int:
    if not text.strip().isdigit():
        raise SeveralProcessesError(
            f"{name} is {text!r}, expected a whole number, as torchrun and srun set it"
        )
    return int(text)
