"""Keep a table of large rows in few pieces, without writing all of it anew for every few new rows."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import Any

import numpy as np

__all__ = ["merge_everything", "merge_small"]

_TOGETHER = 16
_MOST_ROWS = 1 << 14
_NEVER = timedelta(days=36_500)
_MARGIN = timedelta(seconds=10)


def merge_small(table: Any, key: str) -> int:
    """Make one piece of sixteen that are of the same order of size, in one commit.

    So a row is written anew once for every sixteenfold growth of what was added after it, and a table has
    about sixteen pieces for every order of size. Readers meet the old pieces or the new one.

    Args:
        table: whose rows are told apart by ``key``.
        key: name of that column.

    Returns:
        How many rows were written anew; 0 where nothing was to do, or the pieces are so large that only
        :func:`merge_everything` should.
    """
    statistics = table.stats()
    if statistics["fragment_stats"]["num_fragments"] < _TOGETHER:
        return 0
    rows = table.search().select([key]).with_row_id(True).to_arrow()
    if not rows.num_rows or len(rows[key].unique()) != rows.num_rows:
        return 0
    row_ids = rows["_rowid"].to_numpy()
    # A row's number is that of its piece and its place in it.
    pieces, sizes = np.unique(row_ids >> 32, return_counts=True)
    orders = np.floor(np.log(sizes) / np.log(_TOGETHER)).astype(int)
    for order in np.unique(orders):
        alike = orders == order
        if alike.sum() < _TOGETHER or sizes[alike].sum() > _MOST_ROWS:
            continue
        chosen = row_ids[np.isin(row_ids >> 32, pieces[alike])]
        taken = table.take_row_ids(chosen.tolist()).to_arrow()
        table.merge_insert(key).when_matched_update_all().execute(taken.select(table.schema.names))
        return len(chosen)
    return 0


def merge_everything(table: Any, keep: timedelta) -> None:
    """Make one piece of all, and remove versions that no reader can hold any more.

    Args:
        table: any.
        keep: how long a version is kept after a newer one has taken its place.
    """
    # Merging takes its time, which must not count as the age of a version.
    table.optimize(cleanup_older_than=_NEVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that nothing may be kept was asked for
        table.optimize(cleanup_older_than=age_of_unread(table, keep))


def age_of_unread(table: Any, keep: timedelta) -> timedelta:
    """Age beyond which a version was replaced more than ``keep`` ago.

    The store removes versions by the time at which they were made. One that was made long ago may be what
    everybody reads, or was until a moment ago.
    """
    if not keep:
        return timedelta(microseconds=1)
    now = datetime.now().astimezone()
    made = [one["timestamp"].astimezone() for one in table.list_versions()]
    current_then = max((one for one in made if one <= now - keep), default=now - keep)
    return now - current_then + _MARGIN
