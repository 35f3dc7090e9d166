"""Tables that depend on the processor have a section for each class; a run writes its own and no other."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import load_script

ROOT = Path(__file__).parents[1]


measuring: Any = load_script("benchmarks/measuring.py")


@pytest.fixture(autouse=True)
def _x86_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_CBWR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        (["avx2"], "AVX2"),
        (["avx2", "avx_vnni"], "AVX2 with VNNI"),
        (["avx2", "avx512_f"], "AVX-512"),
        (["avx2", "avx512_f", "avx512_vnni"], "AVX-512 with VNNI"),
        (["avx2", "avx512_f", "avx512_vnni", "avx512_bf16"], "AVX-512 with VNNI and bf16"),
        (
            ["avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16"],
            "AVX-512 with VNNI, bf16 and AMX",
        ),
        ([], "SSE"),
    ],
)
def test_features_name_a_class(able: list[str], expected: str) -> None:
    assert measuring.processor_class(able) == expected


def test_another_architecture_is_a_class_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert measuring.processor_class(["bf16"]) == "arm64"


def test_no_timing_comes_from_an_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(SystemExit, match=r"ONEDNN_MAX_CPU_ISA imitates another processor, .*: unset it"):
        measuring.processor_class(["avx2"])


def test_a_run_writes_its_own_section_and_leaves_the_others(tmp_path: Path) -> None:
    def section(measured: Mapping[str, Any]) -> str:
        return f"{measured['ms']} ms; {', '.join(measured['able'])}.\n"

    def write(ms: int, *able: str) -> str:
        measuring.write_by_class(tmp_path, "some", "Some work", {"able": able, "ms": ms}, section)
        return (tmp_path / "some.md").read_text("utf-8")

    page = write(3, "avx2", "avx512_f", "avx512_vnni")
    assert page.startswith("# Some work\n\nA section for each class")
    assert "## AVX2\n\nNot measured yet" in page
    assert "## AVX-512 with VNNI\n\n3 ms; avx2, avx512_f, avx512_vnni.\n" in page
    write(9, "avx2")
    write(5, "avx2", "avx512_f")
    page = write(8, "avx2")
    assert "## AVX2\n\n8 ms; avx2.\n" in page
    assert "9 ms" not in page
    assert "## AVX-512 with VNNI\n\n3 ms" in page
    assert page.endswith("## AVX-512\n\n5 ms; avx2, avx512_f.\n")
    known = json.loads((tmp_path / "some.json").read_text("utf-8"))
    assert {name: measured["ms"] for name, measured in known.items()} == {
        "AVX-512 with VNNI": 3,
        "AVX2": 8,
        "AVX-512": 5,
    }


@pytest.mark.parametrize("name", ["search", "encode"])
def test_results_stand_under_the_class_that_their_features_name(name: str) -> None:
    known = json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))
    page = (ROOT / "results" / f"{name}.md").read_text("utf-8")
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n## ")[1:]}
    assert set(sections) == {*measuring.CLASSES, *known}
    for class_name, measured in known.items():
        assert measuring.processor_class(measured["able"]) == class_name
        assert ", ".join(measured["able"]) in sections[class_name]
    for class_name in set(sections) - set(known):
        assert "Not measured yet" in sections[class_name]
