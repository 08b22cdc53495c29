"""`facevc convert`."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import run_stage


def convert(
    sources: opt.Sources,
    output: Annotated[Path, typer.Option("--out", "-o", help="A folder; or a .wav, .flac or .ogg file for one source and one face; - for stdout.")],
    faces: Annotated[
        list[str] | None, typer.Option("--face", metavar="IMG_OR_FOLDER", help="A face image, or a folder of them; may be repeated.")
    ] = None,
    voices: Annotated[
        list[str] | None, typer.Option("--voice", metavar="WAV_OR_FOLDER", help="A voice instead of a face; may be repeated.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="TABLE.csv", help="Columns source and face (or voice): convert only these.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="How outputs are called; {source} and {face} are the inputs' ids.")] = "{source}__{face}.wav",
    checkpoint: opt.Checkpoint = None,
    vocoder: Annotated[
        str | None,
        typer.Option("--vocoder", help="auto, hifigan, griffin-lim, or a Parallel WaveGAN / HiFi-GAN checkpoint.", rich_help_panel=opt.MODEL),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of the memory's address; lower is sharper. Default: the model's.", rich_help_panel=opt.MODEL)
    ] = None,
    on_many: Annotated[str, typer.Option("--on-many", help="An image with several faces: largest, or skip.", rich_help_panel=opt.WORK)] = "largest",
    device: opt.Device = "auto",
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Convert every source into the voice of every face: one wav each, and a manifest.csv in the output folder.

    Examples:

        facevc convert examples/speech.wav --face examples/face.jpg -o out.wav

        facevc convert wavs/ --face faces/ -o converted/ --name '{source}__{face}.flac'
    """
    from facevc_cli.stages.convert import ConvertConfig, run

    with tempfile.TemporaryDirectory() as temporary:
        piped_out = str(output) == "-"
        if "-" in sources:
            sources = [str(_stdin(Path(temporary))) if s == "-" else s for s in sources]
        out = Path(temporary) / "converted.wav" if piped_out else output
        config = ConvertConfig(
            tuple(sources), out, tuple(faces or ()), tuple(voices or ()), pairs, checkpoint, vocoder, name, temperature, on_many, device,
            limit, overwrite, dry_run, fail_fast,
        )  # fmt: skip
        try:
            run_stage(lambda reporter: run(config, reporter), json_out=json and not piped_out, quiet=quiet, verbose=verbose, debug=debug)
        finally:
            if piped_out and out.exists():
                with open(out, "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)


def _stdin(folder: Path) -> Path:
    path = folder / "stdin.wav"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
