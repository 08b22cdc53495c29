"""`facevc import-checkpoint`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage


def import_checkpoint(
    source: Annotated[
        Path,
        typer.Argument(help="A published .pt of VQMIVC or FVMVC, or a folder of facevc's own.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint's folder.")],
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats",
            metavar="MEL_STATS.npy",
            help="Mel statistics of a published checkpoint: (2, 80), mean and standard deviation.",
        ),
    ] = None,
    preset: opt.Preset = "fvmvc",
    settings: opt.Settings = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    origin: Annotated[
        str | None, typer.Option("--origin", metavar="TEXT", help="One line for people: what it was trained on.")
    ] = None,
    overwrite: opt.Overwrite = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Convert a published checkpoint to facevc's format, or export a run without what only training needs.

    Examples:

        facevc import-checkpoint published.pt --stats mel_stats.npy -o imported/

        facevc import-checkpoint runs/train -o model/ --half --origin "200 speakers of LRS3"
    """
    from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run

    config = ImportCheckpointConfig(
        source=source,
        output=output,
        stats=stats,
        preset=preset,
        overrides=tuple(settings or ()),
        half=half,
        origin=origin,
        overwrite=overwrite,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, debug=debug)
