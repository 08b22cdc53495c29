"""`facevc info`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Summary


@register_command("Use", 80, needs_arguments=False)
def info(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Stores (also by URL), checkpoints, runs, voice cards, faces or recordings. "
            "Without any: this installation.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FOLDER",
            help="The model that made the voice cards, or reads the faces. Default: the bundled one.",
        ),
    ] = None,
    crops: Annotated[
        Path | None, typer.Option("--crops", metavar="FOLDER", help="Save the cut-out faces here, as PNG.")
    ] = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show what is installed and which device would be used, or what a store, checkpoint, run or voice card holds.

    For a picture it shows what the model reads in the face: where it is, its register, its age, how certain that is,
    and which voices of the memory it recalls. For a recording it shows the voice's register, how certain that is, and a
    guess of its age group.

    Examples:

        facevc info

        facevc info features.h5 runs/train --json

        facevc info s3://bucket/features.h5

        facevc info anna.safetensors

        facevc info examples/face.jpg examples/speech.wav
    """
    from facevc_cli.stages.info import InfoConfig, run

    config = InfoConfig(paths=tuple(paths or ()), checkpoint=checkpoint, crops=crops)
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=True, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    from facevc_cli.core.parsing import dump_yaml

    described = [summary.data["installation"]] if "installation" in summary.data else summary.data["items"]
    for item in described:
        results.write_line(dump_yaml(item, width=140))
