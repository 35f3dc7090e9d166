"""Write docs/methods.md: every method of the catalogue with what it compares, costs and takes from where.

python docs/make_methods.py

Everything is read off the code: sets and terms from the methods, sources and differences from docstrings,
parameters by building each method around a CLIP of ViT-B/32's size, stored bytes from the index's own layout,
operations by counting those of the scoring itself.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pyarrow as pa
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import Tokenizer, train_tokenizer
from vidsift.index.encode import sets_of
from vidsift.index.schema import SetLayout, segments_schema, token_columns
from vidsift.methods.base import Method
from vidsift.methods.catalog import METHODS, build_method, resolve_arguments
from vidsift.methods.model import Model
from vidsift.search.candidates import CANDIDATES

PAGE = Path(__file__).parent / "methods.md"
FRAMES, WORDS, DIM = 12, 32, 512
PAIRS_A_SIDE = 4
COLUMNS = (
    "method", "text sets", "video sets", "terms", "loss", "parameters beyond CLIP",
    "stored bytes per segment", "multiply-adds per pair", "search", "source", "differences",
)  # fmt: skip
HEAD = f"""# The methods

This page is written by `python docs/make_methods.py`; a test holds it to the code.

A row is a method as it comes, or with one argument chosen otherwise where that changes what is compared
or how many parameters there are. All numbers are for a CLIP of ViT-B/32's size ({{towers}} M parameters,
{DIM} channels) with {FRAMES} frames and texts of {WORDS} tokens. Stored bytes are those of the token sets in
the index: fp16 tokens with mask, weights, times and places. Multiply-adds are those of the matrix products
that score one text with one video, both prepared: the mean over {PAIRS_A_SIDE} texts with {PAIRS_A_SIDE}
videos, so that work on one side alone is shared out. Elementwise work is not counted. A search scores every
segment exactly, or, where the similarity is too dear for that, the candidates that the named first stage
finds: its hits are then the best of these candidates ({CANDIDATES} if nobody says how many). Where the
similarity has no account, the moments of hits are the first stage's.

"""


@dataclass(frozen=True)
class Row:
    """A method with chosen arguments, built at two sizes."""

    name: str
    chosen: Mapping[str, Any]
    method: Method
    parameters: int

    @property
    def label(self) -> str:
        """What the first column says."""
        chosen = ", ".join(f"`{key}={value}`" for key, value in self.chosen.items())
        return f"**{self.name}**" if not chosen else f"{self.name}, {chosen}"

    @property
    def terms(self) -> str:
        """The summands, each with its interaction and its weight."""
        parts = []
        for term in self.method.terms:
            weight = "" if term.weight == 1 else f"{term.weight:g} "
            parts.append(f"{weight}{type(term.interaction).__name__}({term.text}, {term.video})")
        return " + ".join(parts)


def rows(towers: ClipTowers) -> Iterator[Row]:
    """Every method with its defaults, then with each choice that makes another model of it."""
    for name in METHODS:
        known: set[tuple[str, int]] = set()
        for chosen in [{}, *_choices(name)]:
            method = build_method(name, towers, chosen)
            whole = sum(value.numel() for value in method.parameters())
            row = Row(name, chosen, method, whole - sum(value.numel() for value in towers.parameters()))
            if (row.terms, row.parameters) not in known:
                known.add((row.terms, row.parameters))
                yield row


def _choices(name: str) -> Iterator[dict[str, Any]]:
    """Each other value of each argument that has a few named values."""
    made = METHODS[name]
    hints = get_type_hints(made.__init__ if inspect.isclass(made) else made)
    for argument, default in resolve_arguments(name).items():
        kind = hints[argument]
        values = get_args(kind) if get_origin(kind) is Literal else (True, False) if kind is bool else ()
        for value in values:
            if value != default:
                yield {argument: value}


def config(*, thin: bool) -> CLIPConfig:
    """A CLIP of ViT-B/32's shape; ``thin`` has the same tokens, blocks and shared space in narrow towers."""
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2} if thin else {}
    words = tokenizer()
    text = {"bos_token_id": words.start_id, "eos_token_id": words.end_id}
    vocabulary = {"vocab_size": words.vocabulary_size} if thin else {}
    return CLIPConfig(
        projection_dim=DIM, text_config={**narrow, **text, **vocabulary}, vision_config=dict(narrow)
    )


def tokenizer() -> Tokenizer:
    """A vocabulary of one word."""
    return train_tokenizer(["video"], 580)


def measure(row: Row) -> tuple[int, int]:
    """Stored bytes of a segment, and multiply-adds of a pair, in thin towers."""
    torch.manual_seed(0)
    norm = PixelNorm(224)
    model = Model.create(
        row.name,
        ClipTowers(config(thin=True)),
        tokenizer(),
        norm,
        arguments=row.chosen,
        frames=FRAMES,
        max_words=WORDS,
    )
    layout = sets_of(model)
    text = model.encode_text(["video " * (WORDS - 2)] * PAIRS_A_SIDE)
    black = torch.zeros(FRAMES, norm.size_px, norm.size_px, 3, dtype=torch.uint8).numpy()
    video = model.encode_frames([black], [torch.arange(FRAMES, dtype=torch.float64).numpy()])
    several = {
        name: token_set[torch.zeros(PAIRS_A_SIDE, dtype=torch.int64)] for name, token_set in video.items()
    }
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.method.eval().similarity(text, several)
    return _stored_bytes(layout), round(counter.get_total_flops() / 2 / PAIRS_A_SIDE**2)


def _stored_bytes(sets: Mapping[str, SetLayout]) -> int:
    schema = segments_schema(sets)
    return sum(_width(schema.field(name).type) for name in token_columns(sets))


def _width(kind: pa.DataType) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * int(kind.value_type.bit_width) // 8
    return int(kind.byte_width)


def section(thing: object, title: str) -> str:
    """A named paragraph of a docstring on one line, e.g. ``Source``; empty where there is none."""
    text = inspect.getdoc(thing) or ""
    match = re.search(rf"^{title}: (.*?)(?=\n\n|\n[A-Z][a-z]+:|\Z)", text, re.DOTALL | re.MULTILINE)
    return _plain(match[1]) if match else ""


def _plain(text: str) -> str:
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def loss_of(method: Method) -> str:
    """The first line of a method's loss."""
    if type(method).loss is Method.loss:
        return "symmetric cross-entropy of the sum"
    first = (inspect.getdoc(type(method).loss) or "").split("\n\n")[0]
    return _plain(first).removeprefix("Return ").removesuffix(".")


def cells(row: Row, seen: set[type]) -> list[str]:
    """One line of the table; what an earlier line said of the same classes is not said again."""
    stored, operations = measure(row)
    terms, stage = row.method.terms, row.method.first_stage
    fresh = [
        kind
        for kind in dict.fromkeys([type(row.method), *(type(term.interaction) for term in terms)])
        if kind not in seen
    ]
    seen.update(fresh)
    paragraphs = {
        title: " ".join(
            f"*{kind.__name__}*: {section(kind, title)}" for kind in fresh if section(kind, title)
        )
        for title in ("Source", "Differs")
    }
    return [
        row.label,
        ", ".join(dict.fromkeys(term.text for term in terms)),
        ", ".join(dict.fromkeys(term.video for term in terms)),
        row.terms,
        "" if row.chosen else loss_of(row.method),
        f"{row.parameters:,}",
        f"{stored:,}",
        f"{operations:,}",
        "every segment" if stage is None or row.method.scans else f"candidates of {stage.label}",
        paragraphs["Source"],
        paragraphs["Differs"],
    ]


def page() -> str:
    """The whole page."""
    with torch.device("meta"):
        towers = ClipTowers(config(thin=False))
        every = list(rows(towers))
    millions = sum(value.numel() for value in towers.parameters()) / 1e6
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    seen: set[type] = set()
    lines += ["| " + " | ".join(cells(row, seen)) + " |" for row in every]
    lines += ["", "## The papers, and the arguments as they come", ""]
    for name, made in METHODS.items():
        title = (inspect.getdoc(inspect.getmodule(made)) or "").split("\n")[0]
        arguments = ", ".join(f"`{key}={value}`" for key, value in resolve_arguments(name).items())
        lines.append(f"- **{name}** ([{Path(inspect.getfile(made)).name}]({_source(made)})): {title}")
        if arguments:
            lines.append(f"  {arguments}")
    return HEAD.format(towers=f"{millions:.1f}") + "\n".join(lines) + "\n"


def _source(made: Any) -> str:
    return f"../src/{made.__module__.replace('.', '/')}.py"


def main() -> int:
    """Write the page; with ``--check`` only say whether it is current."""
    made = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == made
        print("current" if current else f"{PAGE.name} is not current; run: python docs/make_methods.py")
        return 0 if current else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
