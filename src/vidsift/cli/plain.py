"""The command line as plain text: whatever stands in brackets is shown, and help comes at once."""

from __future__ import annotations

from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

__all__ = ["Group", "program"]


def program(**settings: Any) -> typer.Typer:
    """Make a program or a group of verbs whose help and errors are plain text.

    As markup, "[watch]" in them would be a style and vanish, and importing what reads and draws markup takes
    longer than all else that ``--help`` does.
    """
    return typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, **settings
    )


class Group(TyperGroup):
    """Verbs, each listed with the whole first paragraph of its help.

    Attributes:
        options: names and help of options that are answered elsewhere, to be listed first.
    """

    options: ClassVar[tuple[tuple[str, str], ...]] = ()

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``, off unless given: typer imports pydantic to convert a flag that is None."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List the options, then the verbs."""
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        with formatter.section("Options"):
            formatter.write_dl([*self.options, *(record for record in records if record)])
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs."""
        verbs = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, " ".join((verb.help or "").split("\n\n")[0].split())) for name, verb in verbs if verb]
            )
