"""The number type follows what the machine computes."""

from __future__ import annotations

import pytest
import torch

from vidsift.encoders.precision import best_inference_dtype


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_bf16_only_where_a_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert best_inference_dtype("cpu") == expected


def test_bf16_only_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, s=supported: s)
        assert best_inference_dtype("cuda") == expected


def test_other_devices_stay_in_fp32() -> None:
    assert best_inference_dtype(torch.device("mps")) == torch.float32
