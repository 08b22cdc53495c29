"""`facevc nearest`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Summary

CHECKPOINT = "The model that ranks: a run or checkpoint. Default: the bundled matcher, or the starter for voice cards."


@register_command("Use", 30)
def nearest(
    candidates: Annotated[
        list[str],
        typer.Argument(
            help="Faces and voice cards for --voice, recordings for --face; files or folders.", show_default=False
        ),
    ],
    voice: Annotated[
        Path | None, typer.Option("--voice", metavar="WAV", help="Rank the faces that fit this voice.")
    ] = None,
    face: Annotated[
        Path | None, typer.Option("--face", metavar="IMG_OR_CARD", help="Rank the voices that fit this face.")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, metavar="N", help="Show only the best N.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FOLDER", help=CHECKPOINT, rich_help_panel=opt.MODEL)
    ] = None,
    on_many: own.OnMany = "largest",
    device: opt.Device = "auto",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Rank which faces fit a voice, or which voices fit a face, by what the model knows of each.

    The rank says what fits, not who a person is. The bundled matcher knows gender and a little of age. Within one
    gender and age it is hardly better than chance. If a candidate is a voice card, the model that converts ranks.
    --checkpoint takes another model, such as a run of 'train --preset cmpc'.

    Examples:

        facevc nearest --voice speech.wav faces/ --top 5

        facevc nearest --face face.jpg voices/ --json
    """
    from facevc_cli.stages.nearest import NearestConfig, run

    config = NearestConfig(
        candidates=tuple(candidates),
        voice=voice,
        face=face,
        top=top,
        checkpoint=checkpoint,
        on_many=on_many,
        device=device,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    rows = [[str(one["rank"]), f"{one['score']:+.3f}", one["file"]] for one in summary.data["ranking"]]
    results.write_table("nearest first", ["rank", "score", "file"], rows)
