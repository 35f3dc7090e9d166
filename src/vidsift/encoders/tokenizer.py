"""Words become ids: CLIP's byte-pair vocabulary, cleaned as CLIP cleaned, cut so that the end stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

__all__ = ["TokenizedText", "Tokenizer", "clean_text", "train_tokenizer"]


@dataclass(frozen=True, eq=False)
class TokenizedText:
    """Sentences as ids.

    Attributes:
        ids: int64 ``(Q, T)``; T is the longest sentence of the batch; 0 where padded.
        mask: bool ``(Q, T)``, True on real tokens, start and end of text included.
        pieces: the readable text of each real token, one list a sentence.
        cut: whether the sentence was too long and lost words.
    """

    ids: Tensor
    mask: Tensor
    pieces: list[list[str]]
    cut: list[bool]


class Tokenizer:
    """CLIP's tokenizer."""

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """Read the tokenizer files of a checkpoint folder."""
        raise NotImplementedError

    @classmethod
    def from_bpe_file(cls, path: str | Path) -> Tokenizer:
        """Read a BPE vocabulary file in the form of OpenAI's ``bpe_simple_vocab_16e6.txt.gz``."""
        raise NotImplementedError

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the two special ones included."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str], max_words: int) -> TokenizedText:
        """Turn sentences into ids."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> None:
        """Write the files that transformers loads."""
        raise NotImplementedError


def clean_text(text: str) -> str:
    """Return ``text`` cleaned as CLIP cleaned its captions."""
    raise NotImplementedError


def train_tokenizer(captions: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Learn a small vocabulary of the CLIP form from captions."""
    raise NotImplementedError
