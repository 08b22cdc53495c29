"""`facevc export`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Summary


@register_command("Use", 45)
def export(
    onnx: Annotated[Path, typer.Option("--onnx", metavar="DIR", help="The folder to write.", show_default=False)],
    face: Annotated[
        Path | None, typer.Option("--face", metavar="FACE", help="Also write the voice for a picture or a voice card.")
    ] = None,
    voice: Annotated[
        Path | None, typer.Option("--voice", metavar="WAV", help="Also write the voice of a recording.")
    ] = None,
    checkpoint: opt.Checkpoint = None,
    vocoder: own.Vocoder = None,
    temperature: own.Temperature = None,
    on_many: own.OnMany = "largest",
    half: Annotated[
        bool, typer.Option("--half", help="Store float16: half the size. Programs compute in float32 as before.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another export in this folder.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Write a conversion as ONNX files for other programs, such as plug-ins for VST hosts and OBS.

    The folder holds a file for each step, model.json, which says how they are used, and voice.json, the voice that a
    program speaks in. Every file is compared with facevc; one that computes something else is an error. docs/export.md
    describes all of it.

    Examples:

        facevc export --onnx plugin/ --face face.jpg

        facevc export --onnx plugin/ --face anna.safetensors --half
    """
    from facevc_cli.stages.export import ExportConfig, run

    config = ExportConfig(
        onnx=onnx,
        face=face,
        voice=voice,
        checkpoint=checkpoint,
        vocoder=vocoder,
        temperature=temperature,
        on_many=on_many,
        half=half,
        overwrite=overwrite,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    for name, difference in summary.data["max_difference"].items():
        results.write_line(f"{name:<14} differs from facevc by at most {difference:.1e}")
    results.write_line(f"{summary.data['bytes'] / 1e6:.0f} MB")
