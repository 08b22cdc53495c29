"""The `facevc` command: registers the subcommands."""

import os
import sys
from typing import Annotated

import typer

from facevc_cli import __version__
from facevc_cli.cli.benchmark import benchmark
from facevc_cli.cli.convert import convert
from facevc_cli.cli.evaluate import evaluate
from facevc_cli.cli.extract_face import extract_face
from facevc_cli.cli.extract_features import extract_features
from facevc_cli.cli.extract_spkemb import extract_spkemb
from facevc_cli.cli.extract_wav import extract_wav
from facevc_cli.cli.import_checkpoint import import_checkpoint
from facevc_cli.cli.info import info
from facevc_cli.cli.nearest import nearest
from facevc_cli.cli.pretrain import pretrain
from facevc_cli.cli.renamed import Command
from facevc_cli.cli.report import explain, find_exit_code
from facevc_cli.cli.serve import serve
from facevc_cli.cli.streams import drop_stdout, flush_stdout, open_streams
from facevc_cli.cli.train import train
from facevc_cli.cli.verify import verify
from facevc_cli.cli.voice_card import voice_card

app = typer.Typer(
    name="facevc",
    help="Give facevc a recording and a photo. It returns the same words in a voice that suits the face.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)

PREPARE, LEARN, USE = "Prepare", "Learn", "Use"
for panel, commands in {
    PREPARE: (extract_wav, extract_features, extract_face, extract_spkemb),
    LEARN: (pretrain, train, import_checkpoint),
    USE: (convert, voice_card, nearest, serve, benchmark, evaluate, verify, info),
}.items():
    for command in commands:
        app.command(
            command.__name__.replace("_", "-"),
            cls=Command,
            rich_help_panel=panel,
            no_args_is_help=command not in (info, serve),
        )(command)
app.command("extract-voice", cls=Command, rich_help_panel=PREPARE, no_args_is_help=True, hidden=True)(extract_spkemb)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facevc {__version__}")
        raise typer.Exit()


@app.callback()
def facevc(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    os.getcwd()  # a missing working folder gets a clear error here; otherwise torch's libraries end the process


def main() -> None:
    """Runs the command line as the console script, and reports errors before and after a command."""
    from facevc_cli.core.stopping import handle_signals
    from facevc_cli.core.tuning import collect_garbage_rarely

    open_streams()
    collect_garbage_rarely()
    code: object = 1
    try:
        with handle_signals():
            app()
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        if isinstance(error, OSError):
            drop_stdout()
        said = explain(error)
        if said is None or "--debug" in sys.argv:
            raise
        typer.echo(f"error: {said}", err=True)
        code = find_exit_code(error)
    if failed := flush_stdout():
        typer.echo(f"error: {explain(failed)}", err=True)
        code = code or 1
    raise SystemExit(code)
