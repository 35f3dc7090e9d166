"""A grid of runs on one page: what all share, settings, rows, seeds, and the claims that they test."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from vidsift.data.catalog import source_of
from vidsift.data.source import Positive, RecipeSection
from vidsift.errors import RecipeError
from vidsift.evaluation.claims import Comparison, parse_order
from vidsift.training.recipe import Recipe, set_value, validated
from vidsift.training.yaml_files import read_values

__all__ = [
    "ALL",
    "Claim",
    "Grid",
    "GridJob",
    "QuickGrid",
    "Row",
    "Tuning",
    "jobs_of",
    "read_grid",
    "tuning_jobs",
]

Changes = dict[str, Any]

# Seeds of runs from different backbones are different ones: nothing but the row is shared.
_SEEDS_OF_A_BACKBONE = 1000

ALL = "all"
"""The tag of a claim that means all questions."""


class Row(RecipeSection):
    """One line of the table: a method, or one of its variants.

    Attributes:
        name: short, without spaces; claims use it.
        method: name in the catalogue of methods.
        arguments: the method's own arguments.
        settings: those in which the row is run; all by default.
        changes: further keys of the recipe, with dots, and their values.
        about: what a reader should know of it.
        seeds: those with which it is run, of the grid's; all by default.
        untrained: nothing of it learns but the scale of the loss: it is what others are held against, and has
            no beginning to beat.
        fresh: it begins with random weights that nothing makes the identity, at about chance: it has to beat
            the weights that it starts from as they are, not itself before its first step.
        keep_models: the model of each run stays in its folder, in ``run``.
    """

    # None of the marks of an order (a > b + c) or of a table; a hyphen may be, as in wti-2.
    name: Annotated[str, Field(pattern=r"^[^\s|+>]+$")]
    method: str
    arguments: dict[str, Any] = Field(default={})
    settings: tuple[str, ...] = ()
    changes: Changes = Field(default={})
    about: str = ""
    seeds: tuple[int, ...] = ()
    untrained: bool = False
    fresh: bool = False
    keep_models: bool = False


class Claim(RecipeSection):
    """What a paper says, as comparisons of rows.

    Attributes:
        say: in words.
        source: where it is said.
        order: such as ``wti > ti > dp``, see :func:`~vidsift.evaluation.claims.parse_order`; of several, all
            must hold.
        tag: the test questions that are meant: "all", or a kind of question.
        effect: what the source says that each comparison gains, in R@1; null where it has no figure.
    """

    say: str
    source: str = ""
    order: Annotated[tuple[str, ...], Field(min_length=1)]
    tag: str = ALL
    effect: tuple[float | None, ...] = ()

    @model_validator(mode="after")
    def _effect_of_each(self) -> Claim:
        if self.effect and len(self.effect) != len(self.comparisons):
            raise ValueError(
                f"effect has {len(self.effect)} figures for {len(self.comparisons)} comparisons; "
                "give one for each"
            )
        return self

    @field_validator("order", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def comparisons(self) -> list[Comparison]:
        """All comparisons of the claim."""
        return [comparison for text in self.order for comparison in parse_order(text)]

    @property
    def rows(self) -> set[str]:
        """The rows that it speaks of."""
        return {name for comparison in self.comparisons for name in comparison.weights}


class Tuning(RecipeSection):
    """How a number of the recipe, such as the rate, is chosen for each row.

    By the log-likelihood among hard negatives on validation, which tells smaller differences than R@1.

    Attributes:
        key: which, with dots.
        values: those that are tried, with each backbone; of equal ones the first is taken.
        seed: of the runs that try; none of the grid's: no run is judged that was chosen for its luck.
        backbones: with how many of them values are tried; all by default.
    """

    key: str = "optimiser.learning_rate"
    values: Annotated[tuple[float, ...], Field(min_length=2)]
    seed: int = 900
    backbones: Positive | None = None


class QuickGrid(RecipeSection):
    """A smaller grid for a first look.

    Attributes:
        rows: those that are run.
        settings: those that are run.
        seeds: those that are run.
        changes: keys of the recipe, with dots, and their values.
        backbones: how many of them; all by default.
        test_videos: where they are fewer.
    """

    rows: tuple[str, ...]
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    changes: Changes = Field(default={})
    backbones: Positive | None = None
    test_videos: Positive | None = None


class Grid(RecipeSection):
    """A whole table.

    Attributes:
        name: of the table; also of its folder below ``runs``.
        base: the recipe that all runs share, without name and seed.
        settings: name to the keys of the recipe that it changes.
        rows: the lines of the table.
        seeds: each line is run with each.
        test_videos: videos of the test split that judge; where it does not say, as many as the source of
            the data takes for it.
        test_seed: which ones, where they are drawn: others for another seed.
        claims: what the table is asked.
        quick: a smaller grid.
        backbones: folders of models, each of which every row starts from, with other seeds from each. The
            test videos are then parted into galleries, and each row has to beat its beginning on validation.
        galleries: how many.
        validation_videos: how many are validated on.
        tuning: what is chosen for each row first.
    """

    name: Annotated[str, Field(min_length=1)]
    base: dict[str, Any]
    settings: Annotated[dict[str, Changes], Field(min_length=1)]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    test_videos: Positive | None = None
    test_seed: Annotated[int, Field(ge=0)] = 0
    claims: tuple[Claim, ...] = ()
    quick: QuickGrid | None = None
    backbones: tuple[str, ...] = ()
    galleries: Positive = 1
    validation_videos: Positive = 640
    tuning: Tuning | None = None

    @model_validator(mode="after")
    def _backbones_have_all(self) -> Grid:
        if not self.backbones and (self.tuning or self.galleries > 1):
            raise ValueError("tuning and galleries belong to backbones: give those")
        if max(self.seeds) >= _SEEDS_OF_A_BACKBONE:
            raise ValueError(f"seeds are {list(self.seeds)}: expected less than {_SEEDS_OF_A_BACKBONE}")
        if self.tuning and self.tuning.seed in self.seeds:
            raise ValueError(f"tuning.seed is {self.tuning.seed}, one of the grid's seeds; give another")
        for row in self.rows:
            if set(row.seeds) - set(self.seeds):
                raise ValueError(
                    f"row {row.name!r} has seeds {list(row.seeds)}; the grid has {list(self.seeds)}"
                )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Grid:
        names = [row.name for row in self.rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rows are named twice: {', '.join(twice)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {list(self.seeds)}: expected each once")
        for what, used, known in (
            *((f"row {row.name!r}", row.settings, self.settings) for row in self.rows),
            *((f"claim {claim.say!r}", claim.rows, names) for claim in self.claims),
            *(
                (("quick", self.quick.rows, names), ("quick", self.quick.settings, self.settings))
                if self.quick
                else ()
            ),
        ):
            # A misspelt row would be a claim that is never tested.
            unknown = sorted(set(used) - set(known))
            if unknown:
                raise ValueError(f"{what} names {', '.join(unknown)}; known: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _source_has_what_is_asked(self) -> Grid:
        data = self.base.get("data")
        source = source_of(data.get("source") if isinstance(data, dict) else None)
        if self.test_videos is not None and self.test_videos % source.group_size:
            raise ValueError(
                f"test_videos is {self.test_videos}: expected a multiple of {source.group_size} for "
                f"{source.title}"
            )
        if self.test_seed and not source.draws_test_videos:
            raise ValueError(
                f"test_seed is {self.test_seed}: {source.title} has files to judge on, and draws none; "
                "leave it out"
            )
        tags = (ALL, *source.all_tags)
        for place, claim in enumerate(self.claims):
            if source.all_tags and claim.tag not in tags:
                known = ", ".join(tags)
                raise ValueError(f"claims.{place}.tag is {claim.tag!r}: {source.title} has {known}")
        return self

    def rows_of(self, setting: str) -> set[str]:
        """Return the names of the rows that are run in a setting."""
        return {row.name for row in self.rows if setting in (row.settings or self.settings)}

    def smaller(self) -> Grid:
        """Return the quick grid; claims about rows that it leaves out are left out too.

        Raises:
            RecipeError: if there is none.
        """
        if self.quick is None:
            raise RecipeError(f"the grid {self.name!r} has no quick part; run it whole, or write one")
        quick = self.quick
        changed = {
            "name": f"{self.name}-quick",
            "settings": {name: {**self.settings[name], **quick.changes} for name in quick.settings},
            "rows": tuple(row for row in self.rows if row.name in quick.rows),
            "seeds": quick.seeds,
            "claims": tuple(claim for claim in self.claims if claim.rows <= set(quick.rows)),
            "backbones": self.backbones[: quick.backbones],
            "test_videos": quick.test_videos or self.test_videos,
        }
        # Not validated again: what names a row or setting that is gone, was left out above.
        return self.model_copy(update=changed)


class GridJob(NamedTuple):
    """One run of the grid; ``trial`` is the value that it tries where it belongs to the tuning."""

    setting: str
    row: str
    recipe: Recipe
    test_videos: int | None
    backbone: int | None = None
    galleries: int = 1
    validation_videos: int = 640
    trial: float | None = None
    keep_model: bool = False
    test_seed: int = 0

    @property
    def seed(self) -> int:
        """The grid's seed; that of the recipe differs from backbone to backbone."""
        return self.recipe.seed % _SEEDS_OF_A_BACKBONE

    @property
    def place(self) -> Path:
        """Its folder, inside that of the grid."""
        if self.backbone is None:
            return Path(self.setting) / self.row / f"seed{self.recipe.seed}"
        row = Path("tuning" if self.trial is not None else "") / self.setting / self.row
        return (
            row
            / (f"backbone{self.backbone}" + (f"-{self.trial:g}" if self.trial is not None else ""))
            / (f"seed{self.seed}")
        )


def read_grid(path: str | Path) -> Grid:
    """Read a grid and check every recipe in it.

    Raises:
        RecipeError: the file is missing or no YAML, or keys or values are refused: each is named.
    """
    grid = validated(Grid, read_values(path), str(path))
    # A fault in the last recipe is told now, not after a night of runs.
    list(jobs_of(grid))
    if grid.quick:
        list(jobs_of(grid.smaller()))
    return grid


def jobs_of(grid: Grid, chosen: Mapping[tuple[str, str], float] | None = None) -> Iterator[GridJob]:
    """Return all runs: seed by seed, so that a table that is stopped has every row.

    Args:
        grid: which.
        chosen: what was found best for each setting and row, see :class:`Tuning`.

    Raises:
        RecipeError: if the recipe of a run is refused.
    """
    for seed in grid.seeds:
        for setting in grid.settings:
            for row in grid.rows:
                if row.name in grid.rows_of(setting) and seed in (row.seeds or grid.seeds):
                    yield from _with_backbones(
                        grid, setting, row, seed, (chosen or {}).get((setting, row.name))
                    )


def tuning_jobs(grid: Grid) -> Iterator[GridJob]:
    """Return the runs that try values, of every row that learns: judged on validation alone."""
    if grid.tuning is None:
        return
    for value in grid.tuning.values:
        for setting in grid.settings:
            for row in grid.rows:
                if row.name in grid.rows_of(setting) and not row.untrained:
                    for job in _with_backbones(grid, setting, row, grid.tuning.seed, value):
                        if (job.backbone or 0) < (grid.tuning.backbones or len(grid.backbones)):
                            yield job._replace(trial=value, keep_model=False)


def _with_backbones(grid: Grid, setting: str, row: Row, seed: int, chosen: float | None) -> Iterator[GridJob]:
    for number, backbone in enumerate(grid.backbones or (None,)):
        values = copy.deepcopy(grid.base)
        values |= {"name": f"{grid.name}/{setting}/{row.name}", "seed": seed + _SEEDS_OF_A_BACKBONE * number}
        changes: Changes = {"model.method": row.method, "model.arguments": row.arguments}
        if backbone is not None:
            changes["model.start"] = backbone
        # Later ones win: a row says it better than its setting, and what was found best than both.
        changes |= {**grid.settings[setting], **row.changes}
        if chosen is not None and grid.tuning is not None:
            changes[grid.tuning.key] = chosen
        for key, value in changes.items():
            # Copies, or jobs would share what the next one changes.
            set_value(values, key, copy.deepcopy(value))
        recipe = validated(Recipe, values, f"row {row.name!r} of {setting!r}")
        videos = recipe.data.test_videos if grid.test_videos is None else grid.test_videos
        yield GridJob(
            setting,
            row.name,
            recipe,
            videos,
            None if backbone is None else number,
            grid.galleries,
            grid.validation_videos,
            keep_model=row.keep_models,
            test_seed=grid.test_seed,
        )
