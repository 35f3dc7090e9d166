"""Evaluating WTI on 1,000 captions and 1,000 videos: the released loop over tiles beside ours, one thread.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/evaluate.py

writes results/evaluate.json and .md. Both begin with the towers' tokens and end with R@1, R@5, R@10, the
median and the mean rank, both ways; ours gives R@50, nDCG@10 and 95 % intervals as well. The released side is
a re-formulation, no copy: a loop over tiles of 32 x 32 in which every tile normalises its tokens, weighs them
by the two heads and makes all products of words and frames (foolwood/DRL main.py, _run_on_single_gpu with
mini_batch 32, and tvr/models/modeling.py, wti_interaction), then the ranks by sorting both matrices
(metrics.py, compute_metrics). Sentences are as long as those of MSR-VTT's 1k-A, or all of 32 tokens.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Any

import numpy as np
import torch
from made_up import DIM, FRAMES, WORDS
from measuring import ROOT, command_line, features, machine, rows_of, take_turns, where, write_results
from numpy.typing import NDArray
from released import released_wti
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidsift.evaluation.bootstrap import bootstrap_intervals
from vidsift.evaluation.metrics import summary
from vidsift.evaluation.retrieval import both_ways
from vidsift.interactions.token_wise import WeightedTokenWise
from vidsift.types import TokenSet

COMMAND = command_line(__file__)
PAIRS, TILE, ROUNDS, TARGET = 1000, 32, 3, 6.0
ROWS, COLUMNS = 64, 512  # of a block in vidsift.Model
SAMPLE = 64  # captions that the released loop is timed on; it does the same for each row of tiles
# Words of the sentences of MSR-VTT's 1k-A parted at spaces, with start and end: tokens -> sentences.
LENGTHS = {
    5: 3,
    6: 57,
    7: 81,
    8: 130,
    9: 109,
    10: 110,
    11: 99,
    12: 84,
    13: 75,
    14: 62,
    15: 52,
    16: 34,
    17: 22,
    18: 19,
    19: 13,
    20: 11,
    21: 8,
    22: 8,
    23: 10,
    24: 5,
    25: 2,
    26: 1,
    27: 2,
    28: 1,
    29: 1,
    32: 1,
}
KINDS = {"as in 1k-A": True, "all of 32 tokens": False}


def sides(*, as_in_1ka: bool) -> tuple[TokenSet, TokenSet]:
    """Random tokens of the towers; a caption is near its video, so that ranks are no chance."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.full((PAIRS,), WORDS)
    if as_in_1ka:
        drawn = torch.tensor([length for length, count in LENGTHS.items() for _ in range(count)])
        lengths = drawn[torch.randperm(PAIRS, generator=generator)]
    subject = torch.randn(PAIRS, 1, DIM, generator=generator)
    text = torch.randn(PAIRS, WORDS, DIM, generator=generator) + 0.2 * subject
    video = torch.randn(PAIRS, FRAMES, DIM, generator=generator) + 0.2 * subject
    frames = torch.ones(PAIRS, FRAMES, dtype=torch.bool)
    return TokenSet(text, torch.arange(WORDS) < lengths[:, None]), TokenSet(video, frames)


def weighed(tokens: TokenSet, head: nn.Module | None) -> TokenSet:
    """Unit tokens with their weights, as the released code makes them for every tile."""
    assert head is not None
    scores = head(tokens.tokens).squeeze(-1).masked_fill(~tokens.mask, -torch.inf)
    return TokenSet(normalize(tokens.tokens, dim=-1), tokens.mask, torch.softmax(scores, dim=-1))


def released_rows(text: TokenSet, video: TokenSet, wti: WeightedTokenWise) -> NDArray[Any]:
    """The first captions with all videos, tile by tile."""
    rows = []
    for first in range(0, SAMPLE, TILE):
        row = []
        for second in range(0, PAIRS, TILE):
            tile_text, tile_video = text[first : first + TILE], video[second : second + TILE]
            tile: Tensor = released_wti(
                weighed(tile_text, wti.text_weight), weighed(tile_video, wti.video_weight)
            )
            row.append(tile.numpy())
        rows.append(np.concatenate(row, axis=-1))
    return np.concatenate(rows, axis=0)


def released_metrics(sim_QV: NDArray[Any]) -> dict[str, float]:
    """Both ways."""
    back = sorted_metrics(sim_QV.T)
    return sorted_metrics(sim_QV) | {f"v2t {name}": value for name, value in back.items()}


def sorted_metrics(sim_QV: NDArray[Any]) -> dict[str, float]:
    """Where in each sorted row the diagonal's value stands."""
    ordered = np.sort(-sim_QV, axis=1)
    places = np.where(ordered + np.diag(sim_QV)[:, None] == 0)[1]
    recalls = {f"R@{k}": 100.0 * float((places < k).mean()) for k in (1, 5, 10)}
    return recalls | {"MdR": float(np.median(places)) + 1, "MnR": float(places.mean()) + 1}


def our_similarity(text: TokenSet, video: TokenSet, wti: WeightedTokenWise) -> NDArray[Any]:
    """Prepared once and scored in blocks, as vidsift.Model does."""
    prepared_text, prepared_video = wti.prepare_text(text), wti.prepare_video(video)
    sim_QV = torch.empty(PAIRS, PAIRS)
    for second in range(0, PAIRS, COLUMNS):
        some_videos = prepared_video[second : second + COLUMNS]
        for first in range(0, PAIRS, ROWS):
            block = slice(first, first + ROWS)
            sim_QV[block, second : second + COLUMNS] = wti.score(prepared_text[block], some_videos)
    result: NDArray[Any] = sim_QV.numpy()
    return result


def our_metrics(sim_QV: NDArray[Any]) -> dict[str, float]:
    """Both ways, with intervals."""
    owner_Q = np.arange(PAIRS)
    ranks = both_ways(sim_QV, owner_Q)
    bootstrap_intervals(ranks, owner_Q)
    back = summary(ranks.video_to_text)
    return summary(ranks.text_to_video) | {f"v2t {name}": value for name, value in back.items()}


def measure(wti: WeightedTokenWise, *, as_in_1ka: bool) -> dict[str, float]:
    """Check that both give the same numbers, then time the parts of both in turn."""
    text, video = sides(as_in_1ka=as_in_1ka)
    sim_QV = our_similarity(text, video, wti)
    # The released code multiplies padding to 0, which can win against negative products.
    alike = WeightedTokenWise(DIM, padding="zero").eval()
    alike.load_state_dict(wti.state_dict())
    expected = alike.score(alike.prepare_text(text[:SAMPLE]), alike.prepare_video(video)).numpy()
    np.testing.assert_allclose(released_rows(text, video, wti), expected, atol=1e-5)
    theirs, mine = released_metrics(sim_QV), our_metrics(sim_QV)
    assert all(abs(theirs[name] - mine[name]) < 1e-6 for name in theirs), (theirs, mine)
    spent = take_turns(
        {
            "released rows": lambda: released_rows(text, video, wti),
            "released metrics": lambda: released_metrics(sim_QV),
            "our similarity": lambda: our_similarity(text, video, wti),
            "our metrics": lambda: our_metrics(sim_QV),
        },
        ROUNDS,
        warm=0,
    )
    seconds = {name: median(times) for name, times in spent.items()}
    similarity = seconds["released rows"] * PAIRS / SAMPLE
    return {
        "released similarity": similarity,
        "released": similarity + seconds["released metrics"],
        "ours": seconds["our similarity"] + seconds["our metrics"],
        "our metrics": seconds["our metrics"],
        "R@1": mine["R@1"],
        "spread": max(max(times) / min(times) for times in spent.values()),
    }


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    wti = WeightedTokenWise(DIM).eval()
    measured: dict[str, Any] = {"command": COMMAND, **machine(), "able": features(), "rows": {}}
    with torch.inference_mode():
        for kind, as_in_1ka in KINDS.items():
            measured["rows"][kind] = measure(wti, as_in_1ka=as_in_1ka)
    measured |= {"load": machine()["load"]}
    write_results(ROOT / "results", "evaluate", json.loads(json.dumps(measured)), page(measured))


def page(measured: dict[str, Any]) -> str:
    """Put what was measured into words."""
    rows = []
    for kind, row in measured["rows"].items():
        times = [f"{row[name]:.3g} s" for name in ("released", "ours", "our metrics")]
        rows.append([kind, *times, f"{row['released'] / row['ours']:.1f}", f"{row['R@1']:.1f}"])
    reached = measured["rows"]["as in 1k-A"]
    ratio = reached["released"] / reached["ours"]
    words = "reached" if ratio >= TARGET else "not reached"
    spread = max(row["spread"] for row in measured["rows"].values())
    about = (
        f"`{measured['command']}` on {where(measured)}; processor features: {', '.join(measured['able'])}; "
        f"one thread, CPU time, in turn, medians of {ROUNDS} rounds (they differ by up to "
        f"{100 * (spread - 1):.0f} %)."
    )
    task = (
        "WTI of 1,000 captions with 1,000 videos of 12 frames, D 512, fp32, from the towers' tokens to the "
        "metrics of both directions; ours with 95 % intervals of 1,000 draws."
    )
    result = (
        f"Wanted: at least {TARGET:g} times for captions as in 1k-A; {words}. The released side is a "
        "re-formulation (foolwood/DRL main.py, _run_on_single_gpu, tiles of 32 x 32; "
        "tvr/models/modeling.py, wti_interaction; metrics.py, compute_metrics), its similarity extrapolated "
        f"from {SAMPLE} captions with all videos. What it does more than once "
        "or needlessly: weights and norms of all tokens for every tile, products with padding (32 tokens, of "
        "which captions have 11 on average), all products kept and gone through again for each mask and "
        "maximum."
    )
    table = rows_of(
        ["captions", "released loop over tiles", "ours", "of that metrics", "times", "R@1 (both)"], rows
    )
    return "\n".join(["# What an evaluation costs", "", about, "", task, "", *table, "", result, ""])


if __name__ == "__main__":
    main()
