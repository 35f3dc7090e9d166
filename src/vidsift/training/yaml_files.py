"""YAML as recipes are written in it: keys and values read from a file, and written back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vidsift.errors import RecipeError

__all__ = ["parsed_value", "read_values", "yaml_text"]

# PyYAML follows YAML 1.1, in which 1e-3 is a word; a number there needs a point and a sign (1.0e-3).
_POWER = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+\Z"


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as the number that it is in YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """Writes words that :class:`_Loader` would read as numbers in quotes."""


# The dumper too: it then puts the word "1e-3" in quotes.
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_POWER), list("-+.0123456789"))


def read_values(path: str | Path) -> dict[str, Any]:
    """Read the keys and values of a YAML file.

    Raises:
        RecipeError: the file is missing, cannot be read, or holds something else.
    """
    file = Path(path)
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - safe: it is a SafeLoader
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe {file}; give the path of a YAML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{file} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(
            f"{file} holds {type(values).__name__}, expected keys and values such as steps: 100"
        )
    return values


def parsed_value(text: str) -> Any:
    """Read one value, as it would stand behind a key.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, _Loader)  # noqa: S506


def yaml_text(values: Mapping[str, Any]) -> str:
    """Write keys and values; :func:`read_values` gives equal ones."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
