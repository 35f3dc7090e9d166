"""The number type follows what the machine computes, and computes rightly."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from vidsift.encoders import device
from vidsift.encoders.device import (
    autocast_runs_lstm,
    best_inference_dtype,
    choose_device,
    chosen_dtype,
    multiplies_bytes,
    wrong_parts,
)
from vidsift.errors import PrecisionError

pytestmark = pytest.mark.processor


@pytest.fixture(autouse=True)
def _checked_anew() -> Iterator[None]:
    yield
    wrong_parts.cache_clear()
    autocast_runs_lstm.cache_clear()


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
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    monkeypatch.setattr(device, "_onednn_computes_bf16", lambda: True)
    assert best_inference_dtype("cpu") == expected
    monkeypatch.setattr(device, "_onednn_computes_bf16", lambda: False)
    assert best_inference_dtype("cpu") == torch.float32


@pytest.mark.parametrize(
    ("able", "expected"),
    [({"avx512_vnni": True}, True), ({"avx_vnni": True}, True), ({"avx2": True, "avx_vnni": False}, False)],
)
def test_bytes_where_a_cpu_has_an_instruction(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert multiplies_bytes() == expected


@pytest.mark.parametrize(("vnni", "amx"), [(True, False), (False, True), (False, False)])
def test_older_releases_of_torch_say_it_flag_by_flag(
    monkeypatch: pytest.MonkeyPatch, vnni: bool, amx: bool
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(device, "_onednn_computes_bf16", lambda: True)
    assert multiplies_bytes() == (vnni or amx)
    assert best_inference_dtype("cpu") == (torch.bfloat16 if amx else torch.float32)
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported")
    assert multiplies_bytes() == amx


def test_bf16_only_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "wrong_parts", lambda *_: ())
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, s=supported: s)
        assert best_inference_dtype("cuda") == expected


def test_other_devices_stay_in_fp32() -> None:
    assert best_inference_dtype(torch.device("mps")) == torch.float32


def test_an_imitation_is_no_more_than_it_was_told() -> None:
    capability = os.environ.get("ATEN_CPU_CAPABILITY")
    if capability:
        # PyTorch before 2.8 says "no AVX".
        assert torch.backends.cpu.get_cpu_capability().lower().replace("no avx", "default") == capability
    if os.environ.get("ONEDNN_MAX_CPU_ISA") in ("AVX2", "SSE41"):
        assert not device._onednn_computes_bf16()
        assert best_inference_dtype("cpu") == torch.float32


def test_every_part_of_a_tower_is_right_in_bf16_here() -> None:
    state = torch.random.get_rng_state()
    wrong_parts.cache_clear()
    assert wrong_parts(torch.bfloat16, "cpu") == ()
    autocast_runs_lstm.cache_clear()
    autocast_runs_lstm(torch.bfloat16, "cpu")
    # A run that is resumed draws what it would have drawn.
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_check_made_inside_a_search_or_a_step_says_the_same() -> None:
    expected = autocast_runs_lstm(torch.bfloat16, "cpu")
    wrong_parts.cache_clear()
    autocast_runs_lstm.cache_clear()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert wrong_parts(torch.bfloat16, "cpu") == ()
        assert autocast_runs_lstm(torch.bfloat16, "cpu") == expected


def _raises(*_: object, **__: object) -> torch.Tensor:
    raise RuntimeError("could not create a primitive descriptor")


@pytest.mark.parametrize(
    ("name", "part"), [("layer_norm", "layer norm"), ("scaled_dot_product_attention", "attention")]
)
@pytest.mark.parametrize("missing", [True, False])
def test_what_has_no_right_kernel_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, part: str, missing: bool
) -> None:
    real = getattr(functional, name)

    def broken(first: torch.Tensor, *rest: object) -> torch.Tensor:
        result: torch.Tensor = real(first, *rest)
        if first.dtype == torch.float32:
            return result
        return _raises() if missing else result * torch.inf

    monkeypatch.setattr(functional, name, broken)
    wrong_parts.cache_clear()
    with pytest.raises(
        PrecisionError, match=rf"no right bf16 kernel .*\(cpu\) for {part}; use precision fp32, or auto"
    ):
        chosen_dtype("bf16", "cpu")
    assert best_inference_dtype("cpu") == torch.float32
    assert chosen_dtype("auto", "cpu") == chosen_dtype("fp32", "cpu") == torch.float32


def test_precisions_have_names() -> None:
    assert chosen_dtype("bf16", "cpu") == torch.bfloat16
    with pytest.raises(ValueError, match="precision is 'fp8', expected one of fp32, bf16, auto"):
        chosen_dtype("fp8", "cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(("gpu", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(
    gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device() == torch.device(expected)
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'gpu', expected auto, cpu or cuda"):
        choose_device("gpu")
    with pytest.raises(ValueError, match="'cuda:1', but torch finds no GPU"):
        choose_device("cuda:1")
