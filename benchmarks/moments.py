"""Moments in recordings by a CLIP that nobody trained on video: segments, sampling, what frames weigh.

    vidsift train recipes/shapes/stills.yaml -o runs/shapes-stills
    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/moments.py     # writes results/moments.json and .md

Recordings of the Shapes world (test split), each sentence about something that happens once in one of them,
are searched with the towers of a model that has seen stills alone. Every picture that any setting looks at is
encoded once; the segments of each setting are then put into an index of its own, as ``vidsift index`` would
have, and asked by what answers a search: ranking, exact scores, the account of the frames, the moment. What
indexing costs is taken from ``vidsift index`` itself on the first recordings.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measuring import ROOT, command_line, features, machine, write_results
from moments_page import page
from numpy.typing import NDArray

from vidsift.data.folder import read_folder
from vidsift.evaluation.metrics import recall
from vidsift.evaluation.moments import TimedSentence, best_iou, moment_summary, timed_sentences
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.index.build import build_index
from vidsift.index.decode_worker import content_id
from vidsift.index.encode import segment_id, segment_table, sets_of
from vidsift.index.manifest import Manifest
from vidsift.index.plain_clip import PlainClipSetting
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model, load
from vidsift.methods.parts import frame_set
from vidsift.search.candidates import rank_by_method
from vidsift.search.gallery import Gallery
from vidsift.search.moments import MomentRule, moment_around, shares_by_frame
from vidsift.search.questions import Question
from vidsift.search.ranking import Wanted
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.shapes.library import draw_split
from vidsift.shapes.recordings import write_recordings
from vidsift.shapes.render import render
from vidsift.shapes.world import TAGS
from vidsift.types import Features, Span, TokenSet
from vidsift.video import cut, probe, read_frames

COMMAND = command_line(__file__)
SETTINGS = (
    *((seconds, 1.0) for seconds in (4.0, 8.0, 15.0, 30.0)),
    *((seconds, rate) for rate in (0.4, 2.0) for seconds in (8.0, 30.0)),
)
"""Seconds of a segment and frames a second; 30 and 0.4 are what a plain CLIP was indexed by before."""

RULES = {
    "shares": MomentRule(),
    "matches": MomentRule("match"),
    "matches, threshold 0.3": MomentRule("match", 0.3),
    "matches, threshold 0.7": MomentRule("match", 0.7),
    "matches, smoothed 2 s": MomentRule("match", 0.5, 2.0),
    "matches, smoothed 2 s, threshold 0.3": MomentRule("match", 0.3, 2.0),
    "matches, smoothed 4 s": MomentRule("match", 0.5, 4.0),
}
_TOGETHER = 64
_DRAWS = 2000


class Pooling(NamedTuple):
    """How a sentence meets the frames of a segment."""

    name: str
    method: str
    arguments: Mapping[str, Any]


def poolings(scale: float) -> list[Pooling]:
    """The parameter-free methods, temperatures in units of the CLIP's own (1 over its learned scale)."""
    softmax = [
        Pooling(
            f"softmax {times:g}x" + (", frames" if average == "frame" else ""),
            "query_scoring",
            {"temperature": times / scale, "average": average},
        )
        for times, average in ((10, "cosine"), (10, "frame"), (3, "cosine"))
    ]
    return [
        Pooling("mean", "zero_shot", {}),
        *softmax,
        Pooling("max", "query_scoring", {"pooling": "max"}),
        Pooling("token-wise", "query_scoring", {"pooling": "token_wise"}),
    ]


@dataclass
class Recording:
    """A file, and every picture of it that some setting looks at, encoded.

    Attributes:
        path: the file.
        video_id: its identity.
        duration_seconds: of it.
        shots: where one clip follows another, from the start to the end.
        tokens: unit class tokens of distinct pictures, by the second at which each is shown.
        shown: wanted second to the second of the picture that is shown then.
    """

    path: Path
    video_id: str
    duration_seconds: float
    shots: tuple[float, ...]
    tokens: dict[float, torch.Tensor] = field(default_factory=dict)
    shown: dict[float, float] = field(default_factory=dict)

    def spans(self, cutting: Cutting) -> list[Span]:
        """Its segments."""
        if not cutting.shots:
            return cut(self.duration_seconds, cutting.seconds)
        pieces = []
        for start, end in zip(self.shots[:-1], self.shots[1:], strict=True):
            for span in cut(end - start, cutting.seconds):
                pieces.append(Span(start + span.start_seconds, start + span.end_seconds))
        return pieces


class Cutting(NamedTuple):
    """Segments and sampling of a setting."""

    seconds: float
    rate: float
    shots: bool = False

    @property
    def frames(self) -> int:
        """Looked at in a segment."""
        return max(1, round(self.seconds * self.rate))

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.seconds:g} s" + (", cut at shots" if self.shots else "")


def cuttings() -> list[Cutting]:
    """Every setting that is measured; the last cuts where a perfect finder of shots would."""
    return [*(Cutting(*setting) for setting in SETTINGS), Cutting(30.0, 1.0, True)]


class Footage:
    """Recordings and questions, encoded once.

    Args:
        folder: of the recordings and their captions.
        model: zero-shot, whose towers encode.
        most: recordings at most.
    """

    def __init__(self, folder: Path, model: Model, most: int | None) -> None:
        """Read and encode."""
        entries = read_folder(folder)[:most]
        self.model = model
        self.sentences = timed_sentences(entries)
        shots = _shots(folder)
        self.recordings = [
            Recording(
                entry.path,
                content_id(entry.path),
                probe(entry.path).duration_seconds,
                shots[entry.path.name],
            )
            for entry in entries
        ]
        self.settings = cuttings()
        for recording in self.recordings:
            self._encode(recording)

    @cached_property
    def hours(self) -> float:
        """Of all recordings together."""
        return sum(recording.duration_seconds for recording in self.recordings) / 3600

    @cached_property
    def video_of(self) -> dict[Path, str]:
        """Identity of each file."""
        return {recording.path: recording.video_id for recording in self.recordings}

    def _encode(self, recording: Recording) -> None:
        wanted = np.unique(
            np.concatenate(
                [self.times(cutting, span) for cutting in self.settings for span in recording.spans(cutting)]
            )
        )
        size = self.model.preprocessing.size_px
        for start in range(0, len(wanted), 512):
            part = wanted[start : start + 512]
            frames = read_frames(recording.path, part, size_px=size)
            recording.shown |= dict(zip(part.tolist(), frames.times_seconds.tolist(), strict=True))
            _, first = np.unique(frames.times_seconds, return_index=True)
            new = [place for place in first.tolist() if frames.times_seconds[place] not in recording.tokens]
            for block in np.array_split(np.array(new, int), max(1, len(new) // _TOGETHER)):
                if not len(block):
                    continue
                (tokens,) = self.model.encode_frames(
                    [frames.pixels[block]], [frames.times_seconds[block]]
                ).values()
                seconds = frames.times_seconds[block].tolist()
                recording.tokens |= dict(zip(seconds, tokens.tokens[0], strict=True))

    def times(self, cutting: Cutting, span: Span) -> NDArray[np.float64]:
        """Which seconds of a segment are looked at."""
        return self.using(Pooling("", "zero_shot", {}), cutting).wanted_times(span)

    def using(self, pooling: Pooling, cutting: Cutting) -> Model:
        """The model of a setting, around the same towers."""
        key = (pooling.name, cutting.frames)
        if key not in _MODELS:
            setting = PlainClipSetting(pooling.method, cutting.frames, "uniform", pooling.arguments)
            _MODELS[key] = setting.applied_to(self.model)
        return _MODELS[key]

    def index(self, folder: Path, model: Model, cutting: Cutting) -> Store:
        """Put the segments of a setting into an index, as ``vidsift index`` does."""
        manifest = Manifest(
            "",
            model.name,
            model.method_name,
            model.fingerprint,
            cutting.seconds,
            model.preprocessing.to_dict(),
            sets_of(model),
        )
        facts, tokens, times = [], [], []
        for recording in self.recordings:
            for span in recording.spans(cutting):
                shown = [recording.shown[second] for second in model.wanted_times(span).tolist()]
                tokens.append(torch.stack([recording.tokens[second] for second in shown]))
                times.append(shown)
                facts.append(_facts(recording, span))
        mask = torch.ones(len(facts), cutting.frames, dtype=torch.bool)
        frames = frame_set(torch.stack(tokens), mask, torch.tensor(times, dtype=torch.float64))
        with torch.inference_mode():
            prepared = model.method.prepare_video({"frame": frames})
        store = Store.create(folder, manifest)
        records = [FileRecord(str(recording.path), 1, 1, recording.video_id) for recording in self.recordings]
        store.commit(segment_table(facts, prepared, manifest.sets), records)
        return Store.open(folder)


_MODELS: dict[tuple[str, int], Model] = {}


def _facts(recording: Recording, span: Span) -> dict[str, Any]:
    return {
        "segment_id": segment_id(recording.video_id, span),
        "video_id": recording.video_id,
        "start_seconds": span.start_seconds,
        "end_seconds": span.end_seconds,
        "duration_seconds": recording.duration_seconds,
        "width_px": 64,
        "height_px": 64,
        "codec": "h264",
        "fps": 12.0,
        "thumbnail": b"",
    }


def _shots(folder: Path) -> dict[str, tuple[float, ...]]:
    """Where clips follow one another in each recording, by what its writer says it shows."""
    borders = {}
    for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        lengths = [clip["duration_seconds"] for clip in row["scene"]]
        borders[row["video"]] = (0.0, *np.cumsum(lengths).tolist())
    return borders


@dataclass
class Answer:
    """What a search shows for one question.

    Attributes:
        recording: whether the first hit is of the right one.
        segment: whether it also holds at least half of what happens (or is half filled by it).
        corpus: overlap of its moment with the true one by rule; 0 in a wrong recording.
        given: the same of the best segment of the right recording.
    """

    recording: bool
    segment: bool
    corpus: dict[str, float]
    given: dict[str, float]


def ask(
    gallery: Gallery, model: Model, footage: Footage, sentences: Sequence[TimedSentence]
) -> Iterator[Answer]:
    """Ask an index all questions by what answers a search."""
    everything = Wanted(1, np.ones(len(gallery), bool), "segment")
    rows_of_video: dict[str, list[int]] = {}
    for row, video in enumerate(gallery.video_ids):
        rows_of_video.setdefault(video, []).append(row)
    encoded = model.encode_text([sentence.sentence for sentence in sentences])
    for start in range(0, len(sentences), _TOGETHER):
        batch = sentences[start : start + _TOGETHER]
        questions = [Question((_row(encoded, place),)) for place in range(start, start + len(batch))]
        ranked = rank_by_method(gallery, model.method, questions, everything, None)
        for sentence, question, answer in zip(batch, questions, ranked, strict=True):
            right = footage.video_of[sentence.path]
            first = answer.best[0][0]
            rows = rows_of_video[right]
            scores = score_exactly(model.method, PrefetchedTokens(gallery), question, rows)
            best = rows[int(scores.argmax())]
            corpus, given = _moments(gallery, model, question, (first, best), sentence)
            there = gallery.video_ids[first] == right
            yield Answer(
                there,
                there and _holds(Span(*gallery.spans[first].tolist()), sentence.spans),
                corpus if there else dict.fromkeys(RULES, 0.0),
                given,
            )


def _row(encoded: Features, place: int) -> dict[str, TokenSet]:
    # Texts of one token each: nothing is padded.
    return {name: tokens[place : place + 1] for name, tokens in encoded.items()}


def _holds(segment: Span, spans: Sequence[Span]) -> bool:
    for span in spans:
        shared = min(segment.end_seconds, span.end_seconds) - max(segment.start_seconds, span.start_seconds)
        if shared >= min(span.duration_seconds, segment.duration_seconds) / 2 - 1e-9:
            return True
    return False


def _moments(
    gallery: Gallery, model: Model, question: Question, rows: Sequence[int], sentence: TimedSentence
) -> list[dict[str, float]]:
    """Overlap of the moment of each row with the true one, by rule."""
    overlaps = []
    for row, by_frame in zip(
        rows, shares_by_frame(model.method.moments_from, gallery, question, list(rows)), strict=True
    ):
        segment = Span(*gallery.spans[row].tolist())
        of_row = {"segment": segment} | {
            name: moment_around(
                by_frame.times_seconds, by_frame.shares, segment, None, by_frame.matches, rule=rule
            )
            for name, rule in RULES.items()
        }
        overlaps.append({name: float(best_iou(*moment, sentence.spans)) for name, moment in of_row.items()})
    return overlaps


def measure(footage: Footage, pooling: Pooling, cutting: Cutting) -> dict[str, Any]:
    """Index and ask one setting."""
    began = time.process_time()
    model = footage.using(pooling, cutting)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = footage.index(Path(folder) / "index", model, cutting)
        gallery = Gallery.read(store, model.method, "fp32")
        answers = list(ask(gallery, model, footage, footage.sentences))
        segments = len(gallery)
    return {
        "pooling": pooling.name,
        "arguments": dict(pooling.arguments),
        "segment_s": cutting.seconds,
        "shots": cutting.shots,
        "rate": cutting.rate,
        "frames": cutting.frames,
        "segments": segments,
        "recording": [int(answer.recording) for answer in answers],
        "right_segment": [int(answer.segment) for answer in answers],
        "corpus": {rule: [round(answer.corpus.get(rule, 0.0), 4) for answer in answers] for rule in RULES},
        "given": {rule: [round(answer.given[rule], 4) for answer in answers] for rule in ("segment", *RULES)},
        "cpu_s": round(time.process_time() - began, 2),
    }


def short_clips(footage: Footage, kinds: Sequence[Pooling], videos: int) -> list[dict[str, Any]]:
    """R@1 on clips of four seconds, of which a sentence says all: what each pooling costs there."""
    clips = draw_split("test", videos)
    mean = footage.using(kinds[0], Cutting(30.0, 0.4))
    times, size = mean.wanted_times(Span(0.0, 4.0)), mean.preprocessing.size_px
    encoded = [mean.encode_frames([render(clip.scene, times, size)], [times])["frame"] for clip in clips]
    units_VFD = torch.cat([tokens.tokens for tokens in encoded])
    mask_VF = torch.ones(units_VFD.shape[:2], dtype=torch.bool)
    frames = frame_set(units_VFD, mask_VF, torch.from_numpy(times).expand(len(clips), -1))
    owner_Q = np.array([row for row, clip in enumerate(clips) for _ in clip.captions])
    tag_Q = np.array([clips[row].scene.tag for row in owner_Q])
    sentences = [text for clip in clips for text in clip.captions]
    rows = []
    for pooling in kinds:
        model = footage.using(pooling, Cutting(30.0, 0.4))
        with torch.inference_mode():
            video = model.method.prepare_video({"frame": frames})
            sim_QV = model.method.similarity(model.encode_text(sentences), video).numpy()
        by_tag = {
            tag: recall(text_to_video_ranks(sim_QV[tag_Q == tag], owner_Q[tag_Q == tag]), 1) for tag in TAGS
        }
        all_tags = recall(text_to_video_ranks(sim_QV, owner_Q), 1)
        rows.append({"pooling": pooling.name, "R@1": all_tags} | by_tag)
    return rows


def costs(footage: Footage, recordings: int) -> list[dict[str, Any]]:
    """What ``vidsift index`` takes and leaves on disk for an hour of video, by setting."""
    chosen = footage.recordings[:recordings]
    hours = sum(recording.duration_seconds for recording in chosen) / 3600
    rows = []
    for cutting in footage.settings:
        if cutting.shots:
            continue
        model = footage.using(Pooling("max", "query_scoring", {"pooling": "max"}), cutting)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            before = _cpu_seconds()
            paths = [recording.path for recording in chosen]
            report = build_index(paths, folder, model, segment=cutting.seconds, workers=1)
            spent = _cpu_seconds() - before
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            tokens = sum(layout.slots * layout.dim * 2 for layout in sets_of(model).values())
            segments = Store.open(Path(folder)).count()
        rows.append(
            {
                "segment_s": cutting.seconds,
                "rate": cutting.rate,
                "frames_per_hour": round(report.frames / hours),
                "segments_per_hour": round(segments / hours),
                "cpu_s_per_hour": round(spent / hours, 1),
                "bytes_per_hour": round(size / hours),
                "token_bytes_per_hour": round(tokens * segments / hours),
            }
        )
        print(rows[-1], flush=True)
    return rows


def _cpu_seconds() -> float:
    """Of this process and of those that decoded for it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one setting, in percent."""
    return {
        "recording R@1": 100 * float(np.mean(run["recording"])),
        "segment R@1": 100 * float(np.mean(run["right_segment"])),
        "corpus": {rule: moment_summary(values) for rule, values in run["corpus"].items()},
        "given": {rule: moment_summary(values) for rule, values in run["given"].items()},
    }


def difference(
    run: NDArray[np.float64], base: NDArray[np.float64], owner_N: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Mean difference in points, and the interval of 95 % over recordings (bootstrap)."""
    count = int(owner_N.max()) + 1
    sums = np.bincount(owner_N, 100 * (run - base), count)
    sizes = np.bincount(owner_N, minlength=count)
    drawn = np.random.default_rng(0).integers(count, size=(_DRAWS, count))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(100 * (run - base).mean()), float(low), float(high)


def condensed(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the JSON file keeps of a setting: its numbers, and each question's answer."""
    facts = {name: value for name, value in run.items() if name not in ("corpus", "given")}
    for name in ("recording", "right_segment"):
        facts[name] = "".join(map(str, run[name]))
    # In one line of the file each.
    facts["iou_percent"] = " ".join(str(round(100 * value)) for value in run["corpus"]["shares"])
    return facts | {"summary": summary(run)}


def differences(runs: Sequence[Mapping[str, Any]], owner_N: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Settings against others, question by question.

    Args:
        runs: condensed.
        owner_N: number of the recording that each question is about.
    """
    by_key = {(run["segment_s"], run["rate"], run["pooling"]): run for run in runs if not run["shots"]}

    def of(run: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        return {
            "recording": np.array([int(digit) for digit in run["recording"]], float),
            "segment": np.array([int(digit) for digit in run["right_segment"]], float),
            "mIoU": np.array(run["iou_percent"].split(), float) / 100,
        }

    before, chosen = (30.0, 0.4, "mean"), (30.0, 1.0, "max")
    pairs = [(key, before) for key in by_key if key != before and (key[0] == 30.0 or key[1] == 1.0)]
    pairs += [(chosen, key) for key in by_key if key != chosen and (key[2] == "max" or key[:2] == chosen[:2])]
    rows = []
    for left, right in pairs:
        numbers, base = of(by_key[left]), of(by_key[right])
        rows.append(
            {"left": left, "right": right}
            | {name: difference(numbers[name], base[name], owner_N) for name in base}
        )
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--model", default="runs/shapes-stills", help="trained on stills alone")
    options.add_argument("--folder", type=Path, help="where the recordings are, or are to be drawn")
    options.add_argument("--recordings", type=int, default=12, help="how many")
    options.add_argument("--minutes", type=float, default=2.0, help="of each")
    options.add_argument("--clips", type=int, default=160, help="short ones, a multiple of 4")
    options.add_argument("--cost-recordings", type=int, default=1, help="indexed to see what it takes")
    options.add_argument("--out", type=Path, default=ROOT / "results")
    given = options.parse_args()
    trained = load(given.model, "cpu")
    scale = trained.method.scale.item()
    model = PlainClipSetting("zero_shot", 12, "uniform").applied_to(trained)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as drawn:
        folder = given.folder or Path(drawn)
        write(folder, given.recordings, given.minutes)
        footage = Footage(folder, model, given.recordings)
        print(f"{footage.hours:.2f} hours, {len(footage.sentences)} sentences", flush=True)
        kinds, runs = poolings(scale), []
        for cutting in footage.settings:
            for pooling in kinds:
                runs.append(measure(footage, pooling, cutting))
                numbers = summary(runs[-1])
                print(
                    f"{cutting.label}, {cutting.rate:g}/s, {pooling.name}: {numbers['recording R@1']:.1f} "
                    f"{numbers['segment R@1']:.1f} {numbers['corpus']['shares']['mIoU']:.1f}",
                    flush=True,
                )
        owners = {recording.path: number for number, recording in enumerate(footage.recordings)}
        owner_N = np.array([owners[sentence.path] for sentence in footage.sentences])
        condensed_runs = [condensed(run) for run in runs]
        measured = {
            "command": COMMAND,
            **machine(),
            "able": features(),
            "recordings": len(footage.recordings),
            "trained": trained.card.get("Training", ""),
            "moment_s": float(
                np.median([span.duration_seconds for of in footage.sentences for span in of.spans])
            ),
            "hours": footage.hours,
            "sentences": len(footage.sentences),
            "scale": scale,
            "channels": model.method.towers.dim,
            "recording_of": owner_N.tolist(),
            "runs": condensed_runs,
            "rules_of": [[30.0, 1.0, False, "max"], [8.0, 1.0, False, "max"]],
            "differences": differences(condensed_runs, owner_N),
            "short_clips": short_clips(footage, kinds, given.clips),
            "clips": given.clips,
            "costs": costs(footage, given.cost_recordings),
            "cost_recordings": given.cost_recordings,
        }
    write_results(given.out, "moments", measured, page(measured))


def write(folder: Path, recordings: int, minutes: float) -> None:
    """Draw the recordings, unless they are there already."""
    if not (folder / "captions.jsonl").exists():
        write_recordings(folder, "test", recordings, minutes, size_px=64, frames_per_second=8, workers=1)


if __name__ == "__main__":
    main()
