"""Running a grid: every run trains, is judged on the test split, and is done once and for all.

Runs share the machine side by side, each with the threads that its recipe says. A grid that was stopped goes
on where it was: finished runs are read, the others go on from their checkpoints. One process at a time works
in a grid's folder; its processes end with it, however it ends.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from vidsift.data.entries import Entry, captions_of
from vidsift.data.source import GridTestSet
from vidsift.errors import CheckpointError, GridBusyError, NotSavedError, RecipeError
from vidsift.evaluation.evaluate import retrieval_metrics, video_of_caption
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.files.disk_errors import saving
from vidsift.files.whole import remove_leftovers, write_json_whole, write_text_whole
from vidsift.methods.model import Model, load
from vidsift.training.arguments import with_all_arguments
from vidsift.training.claims_report import claims_page, results_of
from vidsift.training.grid import Grid, GridJob, jobs_of, tuning_jobs
from vidsift.training.grid_digest import digest, digest_of, weights_of_start
from vidsift.training.grid_judging import (
    FEATURES,
    judge_in_galleries,
    judge_on_validation,
    read_pictures,
    remove_features,
)
from vidsift.training.grid_report import page
from vidsift.training.placement import refuse_several_processes
from vidsift.training.recipe import Recipe
from vidsift.training.run_folder import CHECKPOINTS, LOG_FILE
from vidsift.training.run_lock import locked_folder
from vidsift.training.setup import build_model
from vidsift.training.stopping import StoppedEarly
from vidsift.training.trainer import Trainer

__all__ = ["ablate", "finished", "recall_at_1_per_video", "run_grid_job", "write_report"]

Say = Callable[[str], None]
Record = dict[str, Any]

_RESULT = "result.json"
_RUN = "run"
_STARTS = "starts"


def ablate(grid: Grid, output: str | Path, *, processes: int = 1, say: Say = print) -> list[Record]:
    """Run what of the grid has not been run yet.

    Args:
        grid: which runs.
        output: folder of the grid.
        processes: runs at a time.
        say: takes a line for each run.

    Returns:
        A record for each run, in the order of the grid: ``setting``, ``row``, ``seed``, ``report`` (as
        :func:`~vidsift.evaluation.evaluate.retrieval_metrics` gives it), ``found`` (percentage of each
        video's captions that find it first), ``tags`` (of the videos), ``steps``, ``parameters``,
        ``train_seconds``, ``test_seconds``, and ``start`` (``model``, ``frames`` and ``report`` of the
        weights that it started from, as they were, where they were no fresh ones); of a grid with backbones
        also ``beginning`` and ``validation`` (as :func:`~.grid_judging.judge_on_validation` gives them,
        before the first step and after the last); or ``failed`` with the reason.

    Raises:
        GridBusyError: another process runs a grid in this folder, or trains there.
        SeveralProcessesError: this is one of several processes of a launcher.
        NotSavedError: the disk takes no more; what was finished before stays.
        StoppedEarly: after Ctrl-C or a polite kill (SIGTERM), once the runs under way are saved.
    """
    refuse_several_processes()
    folder = Path(output)
    with locked_folder(folder, GridBusyError), _sigterm_as_ctrl_c() as terminated:
        remove_leftovers(folder, ["report.md", "report.json", FEATURES])
        remove_leftovers(folder / _STARTS, ["*.json"])
        for place in {(folder / job.place) for job in (*jobs_of(grid), *tuning_jobs(grid))}:
            remove_leftovers(place, [_RESULT])
        try:
            records = _run_remaining(grid, folder, processes, say)
            if not any("failed" in record for record in records):
                remove_features(folder)
            return records
        except StoppedEarly:
            raise
        except (KeyboardInterrupt, BrokenProcessPool) as problem:
            # Who asks a whole group of processes to end may reach those of the pool first.
            if isinstance(problem, BrokenProcessPool) and not terminated.is_set():
                raise
            raise StoppedEarly(
                "stopped; finished runs are kept, the same command goes on",
                signal.SIGTERM if terminated.is_set() else signal.SIGINT,
            ) from None


def _run_remaining(grid: Grid, folder: Path, processes: int, say: Say) -> list[Record]:
    trials = list(tuning_jobs(grid))
    if trials:
        _run_jobs(f"{grid.name}, tuning", trials, folder, processes, say)
    return _run_jobs(grid.name, list(jobs_of(grid, _chosen(grid, folder))), folder, processes, say)


def _chosen(grid: Grid, folder: Path) -> dict[tuple[str, str], float]:
    """The value of each row that was likeliest on validation, on average over backbones."""
    scores: dict[tuple[str, str], dict[float, list[float]]] = {}
    for job in tuning_jobs(grid):
        record = _finished_record(folder, job)
        if record is not None and job.trial is not None:
            values = scores.setdefault((job.setting, job.row), {})
            values.setdefault(job.trial, []).append(record["validation"]["log-likelihood"])
    return {
        row: max(values, key=lambda value: sum(values[value]) / len(values[value]))
        for row, values in scores.items()
    }


def _run_jobs(name: str, jobs: Sequence[GridJob], folder: Path, processes: int, say: Say) -> list[Record]:
    records = {job.place: record for job in jobs if (record := _finished_record(folder, job)) is not None}
    remaining = [job for job in jobs if job.place not in records]
    say(f"{name}: {len(jobs)} runs, {len(records)} done before, {processes} at a time, output {folder}")
    for job in {job.recipe.data.model_dump_json(): job for job in jobs}.values():
        _test_set(job, folder)  # made before runs go side by side
    _judge_starts(jobs, folder, say)
    begin = time.perf_counter()

    def note_finished(job: GridJob, record: Record) -> None:
        records[job.place] = record
        done = len(remaining) - (len(jobs) - len(records))
        rest = (time.perf_counter() - begin) / done * (len(remaining) - done) / 60
        say(f"[{len(records)}/{len(jobs)}] {_line(job, record)}, about {rest:.0f} min left")

    if processes == 1:
        for job in remaining:
            note_finished(job, run_grid_job(job, folder))
    elif remaining:
        _side_by_side(remaining, folder, processes, note_finished)
    return [records[job.place] | _start(folder, job) for job in jobs]


def finished(grid: Grid, output: str | Path) -> list[Record]:
    """Return the records of the runs that are done, in the order of the grid; see :func:`ablate`."""
    folder = Path(output)
    if any(_finished_record(folder, job) is None for job in tuning_jobs(grid)):
        return []  # which runs the grid means is not known yet
    jobs = jobs_of(grid, _chosen(grid, folder))
    records = ((job, _finished_record(folder, job)) for job in jobs)
    return [record | _start(folder, job) for job, record in records if record is not None]


def _side_by_side(
    jobs: Sequence[GridJob], folder: Path, processes: int, note_finished: Callable[[GridJob, Record], None]
) -> None:
    # Fresh processes: forking one in which torch runs threads can hang.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(processes, context, _begin_process, (stop,)) as pool:
        try:
            with _ignoring_ctrl_c():
                waiting = {pool.submit(run_grid_job, job, folder): job for job in jobs}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    note_finished(waiting.pop(future), future.result())
        except BaseException as problem:
            # The runs save after the step that they are in, whether Ctrl-C reached them too or not.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if not isinstance(problem, StoppedEarly):
                raise
            raise KeyboardInterrupt from None  # not the one run's words: it is the grid that was stopped


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[threading.Event]:
    """Let a polite kill (SIGTERM) end the grid as Ctrl-C does; what is yielded tells that there was one."""
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        # A second one does not break off the saving of the runs.
        if not terminated.is_set():
            terminated.set()
            raise KeyboardInterrupt

    # Ctrl-C as well: the handlers of starting_up, around this, end the process at once.
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, stop),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        yield terminated
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Let processes that are started inside hear no Ctrl-C but while they train: a run listens itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stopped() -> bool:
    """Whether the grid has said that its runs shall end, or is gone."""
    return _orphaned.is_set() or (_stop is not None and _stop.is_set())


def _raise_if_stopped() -> None:
    """Stop here if the grid has said so."""
    if _stopped():
        raise StoppedEarly("the grid was stopped")


class _Stop(Protocol):
    def is_set(self) -> bool: ...


_stop: _Stop | None = None
_orphaned = threading.Event()
_busy = threading.Lock()


def _begin_process(stop: _Stop) -> None:
    """Know, in a process of the pool, how the grid says that nothing new shall begin, and end with it."""
    global _stop  # noqa: PLW0603 - a process of the pool belongs to one grid
    _stop = stop
    threading.Thread(target=_end_with_the_grid, name="vidsift-grid", daemon=True).start()


def _end_with_the_grid() -> None:
    """End this process of the pool once that of the grid is gone, which could tell nobody (kill -9)."""
    grid = multiprocessing.parent_process()
    if grid is None:
        return
    with suppress(OSError):
        grid.join()
    _orphaned.set()
    with _busy:  # the run is saved after the step that it is in
        os._exit(1)


def run_grid_job(job: GridJob, folder: Path) -> Record:
    """Train one run and judge it; what cannot be trained is a record too.

    Args:
        job: which run.
        folder: of the grid.
    """
    with _busy:
        return _run(job, folder)


def _run(job: GridJob, folder: Path) -> Record:
    place = folder / job.place
    record: Record = {
        "setting": job.setting,
        "row": job.row,
        "seed": job.seed if job.backbone is not None else job.recipe.seed,
        "made_from": digest_of(job),
    }
    if job.backbone is not None:
        record |= {"backbone": job.backbone, "rate": job.recipe.optimiser.learning_rate}
    run = place / _RUN
    try:
        _raise_if_stopped()
        # All of them said: a run that an earlier version began with other defaults is not gone on with.
        recipe = with_all_arguments(job.recipe)
        try:
            trainer = Trainer(recipe, run, say=_say_nothing, should_stop=_stopped)
        except (RecipeError, CheckpointError):
            # Another recipe was begun here, or no checkpoint is good: whatever it is, it is begun anew.
            shutil.rmtree(run, ignore_errors=True)
            trainer = Trainer(recipe, run, say=_say_nothing, should_stop=_stopped)
        _raise_if_stopped()
        trained = trainer.run()
        begin = time.perf_counter()
        model = load(run, device="cpu")
        record |= _beginning(job, recipe, folder) | _judged_for(job, model, folder)
        record |= {
            "steps": trained["steps"],
            "parameters": sum(weights.numel() for weights in model.method.parameters()),
            "train_seconds": round(trained["seconds"], 1),
            "test_seconds": round(time.perf_counter() - begin, 1),
        }
    except (StoppedEarly, NotSavedError):
        raise  # a disk that takes no more would fail every other run too
    except Exception as problem:
        # Whatever it is, it is this run's alone; what was trained stays, and is gone on with next time.
        record["failed"] = " ".join(str(problem).split()) or type(problem).__name__
    with saving(f"the result of {job.place}", place):
        place.mkdir(parents=True, exist_ok=True)
        if (run / LOG_FILE).is_file():
            shutil.copy(run / LOG_FILE, place / LOG_FILE)
        write_json_whole(place / _RESULT, record, indent=None)
    if "failed" not in record:
        shutil.rmtree(run / CHECKPOINTS if job.keep_model else run, ignore_errors=True)
    return record


def write_report(grid: Grid, records: Sequence[Record], path: Path, *, command: str, note: str = "") -> None:
    """Write the page of a grid, and beside it the numbers as JSON, without those of single videos."""
    if grid.backbones:
        numbers: Any = results_of(grid, records)
        text = claims_page(grid, records, command, note)
    else:
        numbers = [
            {key: value for key, value in record.items() if key not in ("found", "tags")}
            for record in records
        ]
        text = page(grid, records, command, note)
    with saving("the page", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(path, text)
        write_json_whole(path.with_suffix(".json"), numbers, indent=1)


def _say_nothing(_line: str) -> None:
    """Take a run's lines: its log holds the same, and the console is the grid's."""


def _finished_record(folder: Path, job: GridJob) -> Record | None:
    try:
        record: Record = json.loads((folder / job.place / _RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = record.get("made_from") == digest_of(job) and "failed" not in record
    return record if same else None


def _test_set(job: GridJob, folder: Path) -> GridTestSet:
    return job.recipe.data.test_set(folder, job.test_videos, job.test_seed)


def _judge_starts(jobs: Sequence[GridJob], folder: Path, say: Say) -> None:
    """Judge the weights that runs start from, as they are: what a run has to beat before it says anything."""
    for job in {_start_file(folder, job): job for job in jobs if job.recipe.model.start}.values():
        file, section = _start_file(folder, job), job.recipe.model
        if file.is_file():
            continue
        try:
            model = load(str(section.start), device="cpu")
            frames = section.frames or model.preprocessing.frames
            model.preprocessing = replace(model.preprocessing, frames=frames, sampling=section.sampling)
            model.max_words = section.max_words or model.max_words
            judged = {"model": section.start, "frames": frames}
            if job.backbone is None:
                judged["report"] = _judged(model, _test_set(job, folder), folder)["report"]
            else:
                judged |= _judged_for(job._replace(trial=None), model, folder)
        except NotSavedError:
            raise
        except Exception as problem:
            # The runs that start from it fail by themselves, each with the reason in its record.
            say(f"{section.start}, from which runs start, is not judged: {' '.join(str(problem).split())}")
            continue
        with saving("what runs start from", file):
            file.parent.mkdir(exist_ok=True)
            write_json_whole(file, judged, indent=None)


def _start_file(folder: Path, job: GridJob) -> Path:
    section = job.recipe.model
    settings = [section.start, section.frames, section.sampling, section.max_words]
    drawn = [job.test_seed] if job.test_seed else []
    return folder / _STARTS / f"{digest([*settings, weights_of_start(job), job.test_videos, *drawn])}.json"


def _start(folder: Path, job: GridJob) -> Record:
    """What is known of the weights that a run starts from."""
    if job.recipe.model.start is None:
        return {}
    try:
        return {"start": json.loads(_start_file(folder, job).read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        return {}


def _beginning(job: GridJob, recipe: Recipe, folder: Path) -> Record:
    """Judge on validation what a run of a backbone was before its first step."""
    if job.backbone is None or job.trial is not None:
        return {}
    # Built anew: the trainer's own may have gone on from a checkpoint.
    return {"beginning": judge_on_validation(build_model(recipe), job, folder)}


def _judged_for(job: GridJob, model: Model, folder: Path) -> Record:
    """Judge a model as a job says: on the test files, or on validation and in galleries, or there alone."""
    if job.backbone is None:
        return _judged(model, _test_set(job, folder), folder)
    validation = judge_on_validation(model, job, folder)
    if job.trial is not None:
        return {"validation": validation}
    return {"validation": validation, **judge_in_galleries(model, job, folder, validation["scale"])}


def _judged(model: Model, test: GridTestSet, folder: Path) -> Record:
    """Judge a model on the test files, whose pictures are decoded once for the whole grid."""
    frames_V = read_pictures(model, test, folder)
    videos = model.encode_frames(
        [frames.pixels for frames in frames_V], [frames.times_seconds for frames in frames_V], batch_size=32
    )
    texts = model.encode_text(captions_of(test.entries))
    sim_QV = model.similarity(texts, videos).float().cpu().numpy()
    return {
        "report": retrieval_metrics(sim_QV, test.entries),
        "found": recall_at_1_per_video(sim_QV, test.entries),
        "tags": [entry.tag for entry in test.entries],
    }


def recall_at_1_per_video(sim_QV: np.ndarray[Any, Any], entries: Sequence[Entry]) -> list[float]:
    """Return for each video the percentage of its captions that find it first (expected under ties)."""
    owner_Q = video_of_caption(entries)
    first_Q = text_to_video_ranks(sim_QV, owner_Q).within(1)
    sums = np.bincount(owner_Q, weights=first_Q, minlength=len(entries))
    return [round(float(percent), 3) for percent in 100 * sums / np.bincount(owner_Q, minlength=len(entries))]


def _line(job: GridJob, record: Record) -> str:
    name = f"{job.setting} / {job.row} / seed {job.recipe.seed}"
    if "failed" in record:
        return f"{name}: failed: {record['failed']}"
    if job.backbone is not None:
        name = f"{name} / backbone {job.backbone}" + (f" / {job.trial:g}" if job.trial is not None else "")
    judged = record.get("report", {}).get("text_to_video") or record["validation"]
    recall = judged["R@1"]
    return f"{name}: R@1 {recall:.1f}, {record['train_seconds'] + record['test_seconds']:.0f} s"
