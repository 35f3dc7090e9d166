"""Which process this is, by what our launcher, torchrun and Slurm leave in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.small import silent, write
from tests.training.test_grid import GRID

from vidsift.errors import SeveralProcessesError
from vidsift.training.ablate import ablate
from vidsift.training.distributed import device_of
from vidsift.training.grid import Grid
from vidsift.training.placement import (
    RENDEZVOUS,
    Placement,
    first_host,
    placement,
    refuse_several_processes,
)
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import Trainer

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "gpu1",
    "MASTER_PORT": "29500",
}
# What srun sets in a job of two machines with two tasks each.
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "PMI_SIZE": "4",
}


def test_launchers_are_understood() -> None:
    assert placement({}) == Placement()
    assert placement(TORCHRUN) == Placement(5, 8, 1, 4, "env://")
    ours = {key: value for key, value in TORCHRUN.items() if "MASTER" not in key}
    assert placement(ours | {RENDEZVOUS: "file:///tmp/x"}) == Placement(5, 8, 1, 4, "file:///tmp/x")
    by_srun = placement(SRUN)
    assert by_srun == Placement(3, 4, 1, 2, f"tcp://gpu07:{20_000 + 4711 * 16 % 30_000}", own_gpu=True)
    # Another step of the job, and another port.
    assert placement(SRUN | {"SLURM_STEP_ID": "1"}).rendezvous != by_srun.rendezvous
    assert placement(SRUN | {"MASTER_ADDR": "a", "MASTER_PORT": "7"}).rendezvous == "tcp://a:7"


def test_one_process_is_one_whatever_is_left_over() -> None:
    for size in ("1", "", "0", "many"):
        assert placement({"WORLD_SIZE": size, "PMI_SIZE": size}).processes == 1
    # The script of a batch job, before any srun, and a step of one task.
    script = {key: value for key, value in SRUN.items() if "STEP" not in key and key != "PMI_SIZE"}
    assert placement(script) == Placement()
    assert placement(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}) == Placement()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"RANK": None}, r"RANK is not set in this one.*--processes N, torchrun or srun"),
        ({"RANK": "8"}, r"RANK is 8, expected 0 to 7, as WORLD_SIZE is 8"),
        ({"LOCAL_RANK": "x"}, r"LOCAL_RANK is 'x', expected a whole number"),
        ({"MASTER_ADDR": None, "MASTER_PORT": None}, r"MASTER_ADDR and MASTER_PORT are not set"),
        (
            {"WORLD_SIZE": None, "OMPI_COMM_WORLD_SIZE": "4"},
            r"OMPI_COMM_WORLD_SIZE is 4: .* mpirun.*torchrun",
        ),
    ],
)
def test_what_a_launcher_leaves_out_is_named(changes: dict[str, str | None], what: str) -> None:
    environment = {key: value for key, value in (TORCHRUN | changes).items() if value is not None}
    with pytest.raises(SeveralProcessesError, match=what):
        placement(environment)


def test_the_first_machine_of_a_list() -> None:
    lists = ("a", "a,b", "gpu[003-007,9],login1", "n[1,4]", "rack2-n[08-10]-ib,x", "gpu[7]")
    assert [first_host(nodes) for nodes in lists] == ["a", "a", "gpu003", "n1", "rack2-n08-ib", "gpu7"]


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert device_of(Placement(1, 2, 1, 2), cpu) == cpu
    assert device_of(Placement(), cuda) == cuda
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(Placement(3, 4, 1, 2), cuda) == torch.device("cuda", 1)
    for number in (0, 2):  # the first one too: it would wait for the others
        with pytest.raises(
            SeveralProcessesError, match=r"3 processes on a machine of 2 GPU\(s\).*device cpu"
        ):
            device_of(Placement(number, 3, number, 3), cuda)
    assert device_of(Placement(5, 6, 1, 4, own_gpu=True), cuda) == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    # Slurm shows each task its own.
    assert device_of(Placement(1, 2, 1, 2, own_gpu=True), cuda) == torch.device("cuda", 0)
    with pytest.raises(SeveralProcessesError, match="cannot share mps"):
        device_of(Placement(1, 2, 1, 2), torch.device("mps"))


def test_a_grid_is_run_by_one_process_and_touches_nothing_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SeveralProcessesError, match=r"as 8 processes, but a grid is run by one"):
        ablate(Grid.model_validate(GRID), tmp_path / "run", say=silent)
    with pytest.raises(SeveralProcessesError, match="8 processes"):
        refuse_several_processes()
    monkeypatch.delenv("RANK")
    with pytest.raises(SeveralProcessesError, match="RANK is not set"):
        Trainer(read_recipe(write(tmp_path)), tmp_path / "run", device="cpu", say=silent)
    assert not (tmp_path / "run").exists()
