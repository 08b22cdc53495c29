"""`facevc imagine`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Reporter, Summary

VOICES = "Recordings and voice cards; files, folders, or @LIST.txt with one path per line."
OUT = "A folder; or a .png, .jpg or .webp file for one voice."
SAMPLES = "Different faces that all fit, the best first, and a sheet of them."
STEPS = "Also draw the way from the first mixture to the last."
CANDIDATES = (
    "Start from your own pictures of faces in place of composites: the nearest three are mixed, and all are ranked. "
    "May be repeated."
)
SIZE = "Pixels of a picture's side. Default: the composites' own."
REGISTER = "masculine, feminine, or a number from 0 (masculine) to 1 (feminine). auto: as the voice is heard."
AGE = "The age in years that the face should show. auto: as the voice is heard."
CHECKPOINT = "The model that compares faces and voices, or a model of styles. Default: the bundled matcher."


@register_command("Use", 22)
def imagine(
    output: Annotated[Path, Option("--out", "-o", help=OUT)],
    voices: Annotated[list[str] | None, Argument(metavar="VOICE", help=VOICES, show_default=False)] = None,
    samples: Annotated[int, Option("--samples", min=1, max=100, metavar="N", help=SAMPLES)] = 1,
    steps: Annotated[bool, Option("--steps", help=STEPS)] = False,
    candidates: Annotated[list[str] | None, Option("--candidates", metavar="IMG_OR_FOLDER", help=CANDIDATES)] = None,
    size: Annotated[int | None, Option("--size", metavar="PX", help=SIZE)] = None,
    register: Annotated[str, Option("--register", metavar="auto|masculine|feminine|0..1", help=REGISTER)] = "auto",
    age: Annotated[str, Option("--age", metavar="auto|YEARS", help=AGE)] = "auto",
    checkpoint: Annotated[
        Path | None, Option("--checkpoint", metavar="FOLDER", help=CHECKPOINT, rich_help_panel=opt.MODEL)
    ] = None,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: Annotated[bool, Option("--json", help=own.JSON, rich_help_panel=opt.REPORT)] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Draw a face that fits each voice: of its register, its age and its pitch. It is not the speaker's face.

    The picture mixes composites, each the mean of many people, so it shows nobody. An output folder also
    gets a portraits.csv. A voice says little about a face: its gender, and something of its age.

    Examples:

        facevc imagine examples/speech_woman.flac -o face.png

        facevc imagine voices/ -o faces/ --samples 6

        facevc imagine anna.safetensors -o faces/ --steps

        facevc imagine speech.wav -o ranked/ --candidates photos/
    """

    def draw(reporter: Reporter) -> Summary:
        from facevc_cli.imagining.plan import PortraitSettings
        from facevc_cli.stages.imagine import ImagineConfig, run

        config = ImagineConfig(
            voices=tuple(voices or ()),
            output=output,
            samples=samples,
            with_steps=steps,
            candidates=tuple(candidates or ()),
            settings=PortraitSettings(seed=seed, size_px=size, register=register, age=age),
            checkpoint=checkpoint,
            device=device,
            limit=limit,
            overwrite=overwrite,
            dry_run=dry_run,
            fail_fast=fail_fast,
        )
        return run(config, reporter)

    run_stage(draw, json_out=json, json_lines=True, quiet=quiet, verbose=verbose, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    """Lists what a dry run would draw, and whose picture fits best."""
    for one in summary.data.get("planned", []):
        results.write_line(f"{one['voice']} -> {one['portrait']}")
    for voice, file in summary.data.get("best", {}).items():
        results.write_line(f"{voice}: {file}")
