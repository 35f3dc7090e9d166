"""Words become ids: CLIP's byte-pair vocabulary, cleaned as CLIP cleaned, cut so that the end stays."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import ftfy
import torch
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend
from torch import Tensor

__all__ = ["END", "START", "TokenSpan", "TokenizedText", "Tokenizer", "clean_text", "train_tokenizer"]

START = "<|startoftext|>"
END = "<|endoftext|>"
# What OpenAI pads with; it is a token too, so a mask says which is meant.
PAD_ID = 0
_WORD_END = "</w>"
_BYTE_ENTRIES = 512
# OpenAI's pattern without its special tokens: what a user types is never one.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_OPENAI_ENTRIES = 49_408
# What a training set says is read epoch after epoch: of a kilobyte or two each, 100 MB at most.
_TEXTS_REMEMBERED = 50_000
_LETTERS_REMEMBERED = 300

Encoded = dict[str, tuple[list[int], list[str]]]


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


class TokenSpan(NamedTuple):
    """Where one token of a text comes from.

    Attributes:
        piece: its readable text.
        start, end: the characters that it spells, of the text as the tokenizer reads it; several tokens may
            spell one character.
    """

    piece: str
    start: int
    end: int


class Tokenizer:
    """CLIP's tokenizer: the same ids as OpenAI's for the same vocabulary.

    Attributes:
        start_id: id of start-of-text, the first token of every text.
        end_id: id of end-of-text, the last token of every text; the text tower puts the sentence there.

    Source: openai/CLIP clip/simple_tokenizer.py, clip/clip.py ``tokenize``.
    Differs: ``<|startoftext|>`` written inside a text is ordinary text, there it becomes the special token;
    an empty text is refused, there it is a sentence of two special tokens.
    """

    def __init__(self, backend: Backend, start: str = START, end: str = END) -> None:
        """Wrap a ``tokenizers`` tokenizer whose vocabulary holds the ``start`` and ``end`` tokens.

        Raises:
            ValueError: one of them is not in the vocabulary.
        """
        self._start, self._end = start, end
        self.start_id: int = _id_of(backend, start)
        self.end_id: int = _id_of(backend, end)
        # Padding and cutting are done in encode: the end-of-text, where the sentence is read, has to stay.
        backend.no_padding()
        backend.no_truncation()
        # Despite its name: those in a text are then encoded as the letters that they are written with.
        backend.encode_special_tokens = True
        self._backend = backend
        self._encoded: Encoded = {}

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """Read the tokenizer files of a checkpoint folder.

        Args:
            folder: holds ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``.

        Raises:
            FileNotFoundError: the folder has neither.
            ValueError: the files cannot be read as a CLIP tokenizer.
        """
        folder = Path(folder)
        start, end = _special_tokens(folder / "tokenizer_config.json")
        names = ("tokenizer.json", "vocab.json", "merges.txt")
        complete, vocabulary, merges = (folder / name for name in names)
        if complete.is_file():
            try:
                backend = Backend.from_file(str(complete))
            except Exception as error:  # the library raises plain Exception
                raise ValueError(f"{complete} is not a tokenizer file: {error}") from error
            tokenizer = cls(backend, start, end)
            tokenizer._encoded = _encoded_before(complete.read_bytes(), start, end)
            return tokenizer
        if vocabulary.is_file() and merges.is_file():
            entries = json.loads(vocabulary.read_text(encoding="utf-8"))
            return cls(_backend(entries, _read_merges(merges.read_text(encoding="utf-8"))), start, end)
        raise FileNotFoundError(
            f"{folder} has no tokenizer: expected tokenizer.json, or vocab.json with merges.txt; "
            "copy them from the checkpoint the model came from"
        )

    @classmethod
    def from_bpe_file(cls, path: str | Path) -> Tokenizer:
        """Read a BPE vocabulary in the form of OpenAI's ``bpe_simple_vocab_16e6.txt.gz``.

        Args:
            path: one merge a line after a first line that is skipped, as text or gzipped. Only the merges
                that OpenAI's 49,408 entries take are read.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a line is not a pair.

        Source: openai/CLIP clip/simple_tokenizer.py:62-79.
        """
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        merges = _read_merges(content.decode("utf-8"), first_line_is_header=True)
        # The file lists more merges than the vocabulary has entries for.
        return cls(_backend_from_merges(merges[: _OPENAI_ENTRIES - _BYTE_ENTRIES - 2]))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the special ones included: the rows that a text tower needs."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text by itself: cleaned, without start and end, of any length, maybe none."""
        return list(self._encoding(text)[0])

    def spans(self, text: str) -> tuple[str, list[TokenSpan]]:
        """Tell which characters each token of :meth:`ids` spells.

        Returns:
            The text as it is read (cleaned, see :func:`clean_text`), and its tokens in their order.
        """
        read = self._as_read(text)
        encoding = self._backend.encode(read, add_special_tokens=False)
        return read, [
            TokenSpan(_readable(token), start, end)
            for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)
        ]

    @property
    def special(self) -> tuple[str, str]:
        """How the pieces of start-of-text and end-of-text read."""
        return self._start, self._end

    def encode(self, texts: Sequence[str], max_words: int) -> TokenizedText:
        """Turn sentences into ids, cut to the longest of the batch.

        Args:
            texts: the sentences.
            max_words: most tokens a sentence may have, start and end of text included; what is longer loses
                its last words and keeps its end-of-text.

        Raises:
            ValueError: there is no sentence, a sentence is empty or not text, or ``max_words`` leaves no room
                for a word.
        """
        if isinstance(texts, str):
            raise ValueError(f"expected a list of sentences, got one: write [{texts!r}]")
        if not texts:
            raise ValueError("there is no sentence; give at least one")
        if max_words < 3:
            raise ValueError(f"max_words is {max_words}, expected at least 3: a start, one word and an end")
        rows: list[list[int]] = []
        pieces: list[list[str]] = []
        cut: list[bool] = []
        for number, text in enumerate(texts):
            ids, words = self._encoding(text)
            if not ids:
                raise ValueError(
                    f"sentence {number + 1} of {len(texts)} is {text!r}: there is nothing in it to look for; "
                    "write at least one word"
                )
            cut.append(len(ids) > max_words - 2)
            rows.append([self.start_id, *ids[: max_words - 2], self.end_id])
            pieces.append([self._start, *words[: max_words - 2], self._end])
        length = max(map(len, rows))
        # (Q, T), T of the longest sentence
        ids_QT = torch.tensor([row + [PAD_ID] * (length - len(row)) for row in rows], dtype=torch.int64)
        lengths_Q = torch.tensor([len(row) for row in rows])
        return TokenizedText(ids_QT, torch.arange(length) < lengths_Q[:, None], pieces, cut)

    def save(self, folder: str | Path) -> None:
        """Write ``tokenizer.json``, ``vocab.json``, ``merges.txt`` and ``tokenizer_config.json``.

        ``transformers.CLIPTokenizer.from_pretrained(folder)`` reads them too.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        self._backend.model.save(str(folder))
        settings = {
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": self._start,
            "eos_token": self._end,
            "unk_token": self._end,
            "pad_token": self._end,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def _encoding(self, text: str) -> tuple[list[int], list[str]]:
        """Return ids and readable pieces of a text, without start and end; neither may be changed."""
        known = self._encoded.get(text) if isinstance(text, str) else None
        if known is None:
            encoding = self._backend.encode(self._as_read(text), add_special_tokens=False)
            known = encoding.ids, [_readable(token) for token in encoding.tokens]
            # What somebody pastes into a search may be of any length.
            if len(text) <= _LETTERS_REMEMBERED:
                if len(self._encoded) >= _TEXTS_REMEMBERED:
                    self._encoded.clear()
                self._encoded[text] = known
        return known

    def _as_read(self, text: str) -> str:
        if not isinstance(text, str):
            raise ValueError(f"a sentence must be text, got {type(text).__name__}: {text!r}")
        return self._without_special_tokens(clean_text(text))

    def _without_special_tokens(self, text: str) -> str:
        """Break up special tokens that a user typed, so that they are read as marks and letters."""
        for token in (self._start, self._end):
            spaced = re.sub(r"(\w+)", r" \1 ", token)
            text = text.replace(token, spaced if spaced != token else " ".join(token))
        return text


def clean_text(text: str) -> str:
    r"""Return ``text`` cleaned as CLIP cleaned its captions.

    Broken encodings are repaired, HTML entities unescaped twice, white space made single, letters lower.

    >>> clean_text("  Caf\u00c3\u00a9 &amp;amp; BAR\n")
    'café & bar'

    Source: openai/CLIP clip/simple_tokenizer.py:50-59.
    """
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", text.strip()).strip().lower()


def train_tokenizer(captions: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Learn a small vocabulary of CLIP's form from captions.

    The entries are the 256 bytes, the 256 bytes at a word's end, the merges learned, start and end of text:
    any text can be encoded, and end-of-text has the highest id. The same captions in the same or another
    order give the same vocabulary.

    Args:
        captions: the sentences to learn from.
        vocabulary_size: most entries; fewer when the captions do not hold as many pairs to merge.

    Raises:
        ValueError: there is no room for a single merge, or there are no captions.
    """
    merge_count = vocabulary_size - _BYTE_ENTRIES - 2
    if merge_count < 1:
        raise ValueError(
            f"vocabulary_size is {vocabulary_size}, expected more than {_BYTE_ENTRIES + 2}: "
            f"{_BYTE_ENTRIES} entries for bytes and 2 for start and end of text come first"
        )
    # Sorted, so that the order of the captions changes nothing.
    cleaned = sorted(clean_text(caption) for caption in captions)
    if not any(cleaned):
        raise ValueError("there are no captions to learn a vocabulary from")
    learner = _backend({}, [])
    letters = list(_byte_letters().values())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        show_progress=False,
        end_of_word_suffix=_WORD_END,
        min_frequency=1,
        # Numbered before any word is read: left alone, the trainer numbers the ends of words in the order
        # of a hash table, and merges pairs that are equally frequent in the order of their numbers.
        special_tokens=[*letters, *(letter + _WORD_END for letter in letters)],
    )
    learner.train_from_iterator(cleaned, trainer)
    learned = json.loads(learner.to_str())["model"]["merges"]
    return Tokenizer(_backend_from_merges([(left, right) for left, right in learned[:merge_count]]))


@lru_cache(maxsize=2)
def _encoded_before(_vocabulary: bytes, _start: str, _end: str) -> Encoded:
    """Return the memory that tokenizers of one file share: runs of a grid load it again and again."""
    return {}


@cache
def _byte_letters() -> dict[int, str]:
    """Return the printable letter that stands for each byte, in the order of CLIP's vocabulary.

    Source: openai/gpt-2 src/encoder.py ``bytes_to_unicode``, taken over by openai/CLIP.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in printable}
    hidden = (byte for byte in range(256) if byte not in letters)
    letters.update({byte: chr(256 + number) for number, byte in enumerate(hidden)})
    return letters


@cache
def _letter_bytes() -> dict[str, int]:
    return {letter: byte for byte, letter in _byte_letters().items()}


def _id_of(backend: Backend, token: str) -> int:
    number = backend.token_to_id(token)
    if number is None:
        raise ValueError(
            f"the vocabulary has no {token!r} token, which every text needs; "
            "take the tokenizer files from a CLIP checkpoint"
        )
    return int(number)


@cache  # as many as a vocabulary has entries
def _readable(token: str) -> str:
    """Return the text of a vocabulary entry; bytes that are not a whole character show as a mark."""
    bytes_of = _letter_bytes()
    letters = token.removesuffix(_WORD_END)
    return bytes(bytes_of[letter] for letter in letters if letter in bytes_of).decode("utf-8", "replace")


def _read_merges(text: str, *, first_line_is_header: bool = False) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or (number == 1 and (first_line_is_header or line.startswith("#version"))):
            continue
        pair = line.split()
        if len(pair) != 2:
            raise ValueError(
                f"line {number} of the merges is {line!r}, expected two parts with a space between"
            )
        merges.append((pair[0], pair[1]))
    return merges


def _special_tokens(settings_file: Path) -> tuple[str, str]:
    """Return the start and end tokens that the settings of a tokenizer name, CLIP's where they name none."""
    if not settings_file.is_file():
        return START, END
    settings = json.loads(settings_file.read_text(encoding="utf-8"))

    def token(key: str, default: str) -> str:
        value = settings.get(key) or default
        return str(value["content"]) if isinstance(value, dict) else str(value)

    return token("bos_token", START), token("eos_token", END)


def _backend_from_merges(merges: Sequence[tuple[str, str]]) -> Backend:
    letters = list(_byte_letters().values())
    entries = [
        *letters,
        *(letter + _WORD_END for letter in letters),
        *(left + right for left, right in merges),
    ]
    return _backend({entry: number for number, entry in enumerate([*entries, START, END])}, merges)


def _backend(vocabulary: dict[str, int], merges: Sequence[tuple[str, str]]) -> Backend:
    """Assemble CLIP's tokenizer from a vocabulary and its merges."""
    backend = Backend(
        models.BPE(
            vocab=vocabulary,
            merges=list(merges),
            continuing_subword_prefix="",
            end_of_word_suffix=_WORD_END,
            unk_token=END if vocabulary else None,
        )
    )
    # As transformers' CLIPConverter (convert_slow_tokenizer.py) assembles it, so that files serve both.
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    if vocabulary:
        backend.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in (START, END)]
        )
        backend.post_processor = processors.RobertaProcessing(
            (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
        )
    return backend
