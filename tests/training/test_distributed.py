"""Two processes over gloo give the loss and the gradients of one at the same batch."""

from __future__ import annotations

import json

import pytest
from tests import forked
from tests.methods.variants import VARIANTS

OTHERS = [
    "stage without parts",
    "words",
    "chunks of 1",
    "chunks of 2",
    "chunks, LoRA and recomputed blocks",
    "laps",
    "no rows in 0",
    "no rows in 1",
    "weights",
    "unreadable",
]

PAIR = "from tests.training import pair\npair.main(*sys.argv[1:])"


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What two processes, forked once for all methods, found wrong."""
    folder = tmp_path_factory.mktemp("pair")
    rendezvous = (folder / "meeting").as_uri()
    pair = [forked.program(PAIR, str(n), rendezvous, str(folder / "answer")) for n in range(2)]
    for process in pair:
        assert process.wait() == 0, process.errors
    answer: dict[str, str] = json.loads((folder / "answer").read_text("utf-8"))
    return answer


@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_two_processes_learn_what_one_learns(name: str, wrong: dict[str, str]) -> None:
    assert name not in wrong, wrong[name]


def test_nothing_else_was_found_wrong(wrong: dict[str, str]) -> None:
    assert not wrong
