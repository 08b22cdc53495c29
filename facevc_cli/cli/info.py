"""`facevc info`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage
from facevc_cli.progress import Reporter, Summary


def info(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Stores, checkpoints or runs; none: this installation.", show_default=False)
    ] = None,
    json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Say what is installed and which device would be used, or what a store, checkpoint or run holds.

    Examples:

        facevc info

        facevc info features.h5 runs/train --json
    """
    from facevc_cli.stages.info import InfoConfig, run

    def stage(reporter: Reporter) -> Summary:
        summary = run(InfoConfig(tuple(paths or ())), reporter)
        if not json:
            import yaml

            described = [summary.data["installation"]] if "installation" in summary.data else summary.data["items"]
            for item in described:
                typer.echo(yaml.safe_dump(item, sort_keys=False, allow_unicode=True, width=140))
        return summary

    run_stage(stage, json_out=json, quiet=True, debug=debug)
