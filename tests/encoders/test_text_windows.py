"""Text towers whose tokens see their neighbours: who reaches whom, exact in every batch, and in folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.methods import tiny

from vidsift.encoders.clip import ATTENTION_KINDS, AttentionKind, ClipTowers
from vidsift.encoders.text_windows import set_windows
from vidsift.methods.model import Model, load

if TYPE_CHECKING:
    from tests.encoders.conftest import MakeConfig

LENGTHS = torch.tensor([9, 3, 12, 6])
MASK = torch.arange(12) < LENGTHS[:, None]
IDS = torch.randint(0, 558, MASK.shape, generator=torch.Generator().manual_seed(2))


def windowed(
    tiny_config: MakeConfig, windows: list[int | None], attention: AttentionKind = "sdpa"
) -> ClipTowers:
    torch.manual_seed(0)
    config = tiny_config()
    set_windows(config.text_config, windows)
    return ClipTowers(config, attention=attention).eval()


@pytest.mark.parametrize(
    ("windows", "reach"), [([1, 0], 1), ([1, 1], 2), ([0, 3], 3), ([0, 0], 0), ([1, None], 12), (None, None)]
)
@torch.no_grad()
def test_a_token_depends_on_those_within_the_windows(
    windows: list[int | None] | None, reach: int | None, tiny_config: MakeConfig
) -> None:
    torch.manual_seed(0)
    towers = ClipTowers(tiny_config()).eval() if windows is None else windowed(tiny_config, windows)
    assert towers.text_windows == (None if windows is None else tuple(windows))
    ids, mask = IDS[2:3], MASK[2:3]
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % 558
    moved = (towers.encode_text(changed, mask) - towers.encode_text(ids, mask)).abs().amax(dim=-1)[0] > 1e-6
    place = torch.arange(12)
    # Without windows, CLIP's order: what comes later.
    expected = place >= 5 if reach is None else (place - 5).abs() <= reach
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@torch.no_grad()
def test_tokens_are_the_same_alone_in_a_batch_and_packed(
    attention: AttentionKind, tiny_config: MakeConfig
) -> None:
    towers = windowed(tiny_config, [2, None], attention)
    tokens = towers.encode_text(IDS, MASK)
    assert not tokens[~MASK].any()
    for row, length in enumerate(LENGTHS.tolist()):
        alone = towers.encode_text(IDS[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(alone[0], tokens[row, :length], rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(towers.encode_text_packed(IDS, MASK), tokens, rtol=1e-5, atol=3e-6)
    causal = ClipTowers(tiny_config(), attention=attention).eval()
    causal.load_state_dict(towers.state_dict())
    assert (causal.encode_text(IDS, MASK) - tokens).abs().max() > 1e-3


@pytest.mark.parametrize("windows", [[1], [1, -1], [1, 1.5], [True, 1], "12", 3])
def test_windows_that_are_none_are_refused(windows: object, tiny_config: MakeConfig) -> None:
    config = tiny_config()
    setattr(config.text_config, "attention_windows", windows)  # noqa: B010 - transformers does not know it
    with pytest.raises(ValueError, match="expected a list of 2 windows, one a block"):
        ClipTowers(config)


def test_a_refused_change_leaves_the_windows_that_were_there(tiny_config: MakeConfig) -> None:
    towers = windowed(tiny_config, [3, 1])
    with pytest.raises(ValueError, match="attention_windows"):
        set_windows(towers.clip.text_model.config, [1])
    assert towers.text_windows == (3, 1)


def test_a_model_folder_keeps_them_and_a_plain_clip_cannot(tmp_path: Path) -> None:
    model = tiny.model("drl", {"temporal": "none"})
    before = model.fingerprint
    set_windows(model.method.towers.clip.text_model.config, [1])
    model = Model.create(
        "drl", model.method.towers, model.tokenizer, model.norm, arguments={"temporal": "none"}, frames=5
    )
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.method.towers.text_windows == (1,)
    assert loaded.fingerprint == model.fingerprint != before
    sets = (model.encode_text(tiny.CAPTIONS)["word"], loaded.encode_text(tiny.CAPTIONS)["word"])
    assert torch.equal(sets[0].tokens, sets[1].tokens)
    with pytest.raises(ValueError, match=r"this text tower see \[1\] tokens to either side.*save\(\)"):
        model.save_backbone(tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
