"""Encode pictures and sentences with a ViT-B/32: number types, cut texts, kinds of attention.

    PYTHONPATH=src python benchmarks/encode.py     # its class's part of results/encode.md

One thread, CPU time of the process, the cases of a table taking turns round after round; the least of
the rounds counts. Packed texts are what the tower can do (`ClipTowers.encode_text_packed`);
`Model.encode_text` takes texts of like length together instead, which is not measured here. Weights are
random: nothing here depends on their values but the cosines.
"""

from __future__ import annotations

import argparse
import copy
import csv
import os
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from measuring import ROOT, command_line, features, processor, processor_class, take_turns, write_by_class
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from vidsift.encoders.clip import ATTENTION_KINDS, ClipTowers, end_of_text
from vidsift.encoders.device import best_inference_dtype
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.interactions.product_checks import multiplies_exactly

SHARED = Path(os.environ.get("VIDSIFT_SHARED", ROOT.parent / "shared"))
CAPTIONS = SHARED / "annotations" / "msrvtt" / "MSRVTT_JSFUSION_test.csv"
VOCABULARY = SHARED / "golden" / "bpe_simple_vocab_16e6.txt.gz"
COMMAND = command_line(__file__, "PYTHONPATH=src")
PICTURES, TEXTS, PADDED = 12, 64, 77
Case = Callable[[], Any]


def least(cases: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return the least CPU seconds of each case."""
    return {name: min(spent) for name, spent in take_turns(cases, rounds).items()}


def int8(towers: ClipTowers) -> ClipTowers:
    """Return a copy whose linear layers multiply in int8, scaled for each batch."""
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantize_dynamic(copy.deepcopy(towers), {nn.Linear}, dtype=torch.qint8)


def products(towers: ClipTowers, dtype: torch.dtype) -> Case:
    """Return the matrix multiplications of the vision tower alone, for the batch of pictures."""
    vision = towers.config.vision_config
    rows = PICTURES * (towers.patches + 1)
    width, raised = vision.hidden_size, vision.intermediate_size
    shapes = [(width, width)] * 4 + [(width, raised), (raised, width)]
    if dtype is torch.int8:
        pairs = [(torch.ones(rows, a, dtype=dtype), torch.ones(a, b, dtype=dtype)) for a, b in shapes]
        multiply = torch._int_mm
    else:
        pairs = [(torch.randn(rows, a, dtype=dtype), torch.randn(a, b, dtype=dtype)) for a, b in shapes]
        multiply = torch.mm

    def run() -> None:
        for _ in range(vision.num_hidden_layers):
            for left, right in pairs:
                multiply(left, right)

    return run


def cosine(ours: Tensor, reference: Tensor) -> float:
    return float(nn.functional.cosine_similarity(ours.float(), reference.float(), dim=-1).min())


@torch.inference_mode()
def pictures(towers: ClipTowers, rounds: int) -> list[dict[str, Any]]:
    """Measure pictures a second in each number type beside transformers' own fp32 and bare products."""
    pixels = torch.randn(PICTURES, 3, towers.image_size_px, towers.image_size_px)
    half = copy.deepcopy(towers).to(torch.bfloat16)
    small = int8(towers)
    cases: dict[str, Case] = {
        "transformers fp32": lambda: towers.clip.get_image_features(pixel_values=pixels),
        "vidsift fp32": lambda: towers.encode_images(pixels),
        "vidsift bf16": lambda: half.encode_images(pixels.bfloat16()),
        "vidsift int8 (dynamic)": lambda: small.encode_images(pixels),
        "products alone fp32": products(towers, torch.float32),
        "products alone bf16": products(towers, torch.bfloat16),
        "products alone int8": products(towers, torch.int8),
    }
    seconds = least(cases, rounds)
    reference = towers.clip.get_image_features(pixel_values=pixels).pooler_output
    rows = []
    for name, spent in seconds.items():
        kind = next((kind for kind in ("fp32", "bf16", "int8") if kind in name), "")
        row: dict[str, Any] = {
            "case": name,
            "pictures_per_second": PICTURES / spent,
            "times_transformers_fp32": seconds["transformers fp32"] / spent,
            "share_of_products": seconds[f"products alone {kind}"] / spent,
        }
        if name.startswith("vidsift"):
            row["least_cosine_to_fp32"] = cosine(cases[name]()[:, 0], reference)
        rows.append(row)
    return rows


def captions(towers: ClipTowers) -> tuple[Tensor, Tensor, str]:
    """Return ids and mask of captions of MSR-VTT's test split, or random ids of the same lengths."""
    if CAPTIONS.is_file() and VOCABULARY.is_file():
        with CAPTIONS.open(encoding="utf-8") as file:
            sentences = [row["sentence"] for row in csv.DictReader(file)]
        spread = sentences[:: len(sentences) // TEXTS][:TEXTS]
        text = Tokenizer.from_bpe_file(VOCABULARY).encode(spread, PADDED)
        ids_QT, mask_QT, source = text.ids, text.mask, "every 15th caption of MSR-VTT 1k-A"
    else:
        # The deciles of MSR-VTT 1k-A, which has a mean of 11.6 tokens and a ninth decile of 17.
        lengths_Q = torch.tensor([7, 8, 9, 10, 10, 11, 12, 14, 17, 21]).repeat(TEXTS // 10 + 1)[:TEXTS]
        mask_QT = torch.arange(int(lengths_Q.max())) < lengths_Q[:, None]
        ids_QT = torch.randint(1, 40_000, mask_QT.shape) * mask_QT
        source = "random ids of the lengths of MSR-VTT 1k-A"
    end = towers.config.text_config.eos_token_id
    ids_QT[torch.arange(len(ids_QT)), mask_QT.sum(1) - 1] = end
    return ids_QT, mask_QT, source


@torch.inference_mode()
def texts(towers: ClipTowers, rounds: int) -> tuple[list[dict[str, Any]], str]:
    """Measure sentences a second: padded to 77 as released code does it, cut, and packed."""
    ids_QT, mask_QT, source = captions(towers)
    padded_Q77 = nn.functional.pad(ids_QT, (0, PADDED - ids_QT.shape[1]))
    small = int8(towers)

    def one_by_one(model: ClipTowers) -> Tensor:
        ends = []
        for ids, mask in zip(ids_QT, mask_QT, strict=True):
            row, real = ids[mask][None], mask[mask][None]
            ends.append(end_of_text(model.encode_text(row, real), real)[:, 0])
        return torch.cat(ends)

    def packed(model: ClipTowers) -> Tensor:
        return end_of_text(model.encode_text_packed(ids_QT, mask_QT), mask_QT)[:, 0]

    def padded(batch: int) -> Tensor:
        parts = padded_Q77.split(batch)
        return torch.cat([towers.clip.get_text_features(input_ids=part).pooler_output for part in parts])

    cases: dict[str, Case] = {
        "transformers fp32, padded to 77, batches of 32": lambda: padded(32),
        "transformers fp32, padded to 77, one by one": lambda: padded(1),
        "vidsift fp32, cut and packed": lambda: packed(towers),
        "vidsift fp32, cut, one by one": lambda: one_by_one(towers),
        "vidsift int8 (dynamic), cut and packed": lambda: packed(small),
        "vidsift int8 (dynamic), cut, one by one": lambda: one_by_one(small),
    }
    if best_inference_dtype() is torch.bfloat16:
        half = copy.deepcopy(towers).to(torch.bfloat16)
        cases["vidsift bf16, cut and packed"] = lambda: packed(half)
        cases["vidsift bf16, cut, one by one"] = lambda: one_by_one(half)
    seconds = least(cases, rounds)
    reference = padded(32)
    rows = []
    for name, spent in seconds.items():
        alone = name.endswith("one by one")
        base = seconds[f"transformers fp32, padded to 77, {'one by one' if alone else 'batches of 32'}"]
        rows.append(
            {
                "case": name,
                "sentences_per_second": TEXTS / spent,
                "times_padded_fp32": base / spent,
                "least_cosine_to_fp32": cosine(cases[name](), reference),
            }
        )
    return rows, f"{source}; {TEXTS} sentences, {mask_QT.sum().item() / TEXTS:.1f} tokens on average"


def attention(rounds: int) -> list[dict[str, Any]]:
    """Measure the kinds of attention at the size that trains from scratch: few tokens, narrow towers."""
    config = CLIPConfig(
        projection_dim=256,
        text_config={"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4,
                     "num_attention_heads": 2, "vocab_size": 600, "max_position_embeddings": 24,
                     "bos_token_id": 598, "eos_token_id": 599, "pad_token_id": 0},
        vision_config={"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4,
                       "num_attention_heads": 3, "image_size": 64, "patch_size": 16},
    )  # fmt: skip
    pixels, ids = torch.randn(64, 8, 3, 64, 64), torch.randint(1, 600, (64, 24))
    frames, words = torch.ones(64, 8).bool(), torch.ones(64, 24).bool()
    cases: dict[str, Case] = {}
    for kind in ATTENTION_KINDS:
        towers = ClipTowers(copy.deepcopy(config), attention=kind)
        runs: dict[str, Callable[[], Tensor]] = {
            "512 frames x 17 tokens x 192, 3 heads": lambda t=towers: t.encode_frames(pixels, frames),
            "64 texts x 24 tokens x 128, 2 heads": lambda t=towers: t.encode_text(ids, words),
        }
        for shape, run in runs.items():
            cases[f"{shape}|forward|{kind}"] = torch.no_grad()(run)
            cases[f"{shape}|forward and backward|{kind}"] = lambda r=run: r().sum().backward()
    seconds = least(cases, rounds)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, spent in seconds.items():
        shape, step, kind = name.split("|")
        row = rows.setdefault((shape, step), {"shape": shape, "step": step})
        row[f"{kind}_milliseconds"] = spent * 1e3
    return list(rows.values())


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table with a column for every key that a row has."""
    keys = list(dict.fromkeys(key for row in rows for key in row))

    def cell(key: str, value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.4f}" if "cosine" in key else f"{value:.2f}" if value < 100 else f"{value:.0f}"

    lines = [[key.replace("_", " ") for key in keys], ["---"] * len(keys)]
    lines += [[cell(key, row.get(key, "")) for key in keys] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "chosen_number_type": str(best_inference_dtype()).removeprefix("torch."),
    }


def section(measured: Mapping[str, Any]) -> str:
    """Put what was found on a machine into words."""
    of = measured["machine"]
    sums = {True: " Its sums are exact here.", False: " Its sums are wrong here: they saturate."}
    return f"""`{measured["command"]}`: one thread, CPU time, cases in turn, least of
{measured["rounds"]} rounds. Random weights. {of["processor"]}; {", ".join(measured["able"])};
torch {of["versions"]["torch"]}, transformers
{of["versions"]["transformers"]}. `best_inference_dtype()` chooses
{of["chosen_number_type"]} here. bf16 is shown also where the processor only emulates it.

### Pictures: ViT-B/32, {PICTURES} at a time

{table(measured["pictures"])}

"Share of products" is the time that the matrix multiplications of the blocks take alone in the same number
type (int8: `torch._int_mm`), as a part of the whole.{sums.get(measured["int8_sums_exact"], "")}

### Sentences: ViT-B/32's text tower

{measured["captions"]}. Each row is compared with transformers' fp32 padded to 77 in the same setting (one by
one, or in batches).

{table(measured["texts"])}

### Attention in fp32 at the size that trains from scratch

{table(measured["attention"])}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    processor_class(features())  # Said before the long part: an imitated processor has no section.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    towers = ClipTowers(CLIPModel(CLIPConfig(text_config={"eos_token_id": 49407}))).eval()
    measured: dict[str, Any] = {"command": COMMAND, "rounds": arguments.rounds, "machine": machine()}
    measured["able"] = features()
    measured["int8_sums_exact"] = multiplies_exactly(lambda text, video: torch._int_mm(text, video.t()))
    measured["texts"], measured["captions"] = texts(towers, arguments.rounds)
    measured["attention"] = attention(arguments.rounds)
    measured["pictures"] = pictures(towers, arguments.rounds)
    write_by_class(arguments.results, "encode", "Encoding", measured, section)


if __name__ == "__main__":
    main()
