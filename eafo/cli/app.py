"""The commands, in the order in which the help shows them."""

from __future__ import annotations

from typing import Annotated

import typer

import eafo
from eafo.cli import benchmark, catalogue, demonstration, inspection, mathematics, trials

__all__ = ["app"]

app = typer.Typer(
    name="eafo",
    help="Derive neural-network activation functions, compile them and score them.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    mathematics.derive,
    mathematics.wafbc,
    inspection.properties,
    inspection.entropy,
    inspection.rank,
    mathematics.emit,
    benchmark.bench,
    trials.search,
    trials.compare,
    trials.report,
):
    app.command()(_command)
app.command("list")(catalogue.list_known)
app.command()(demonstration.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"eafo {eafo.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
