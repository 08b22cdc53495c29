"""`facevc sample`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Reporter, Summary

TEXT = "What each voice says. Default: a short line, or a bundled recording if the engine is not installed."
ENGINE = "What speaks: kokoro, espeak, or another, as in 'facevc speak'."


@register_command("Use", 24)
def sample(
    output: Annotated[Path, Option("--out", "-o", help="A folder.")],
    count: Annotated[int, Option("--count", min=1, max=1000, metavar="K", help="Number of pairs.")] = 1,
    seed: opt.Seed = 0,
    text: Annotated[str | None, Option("--text", help=TEXT)] = None,
    engine: Annotated[str, Option("--engine", metavar="NAME", help=ENGINE)] = "kokoro",
    size: Annotated[int | None, Option("--size", metavar="PX", help="Pixels of a picture's side.")] = None,
    checkpoint: opt.Checkpoint = None,
    vocoder: own.Vocoder = None,
    watermark: own.Watermark = True,
    device: opt.Device = "auto",
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    json: Annotated[bool, Option("--json", help=own.JSON, rich_help_panel=opt.REPORT)] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Draw faces and voices that fit each other, from a seed: nobody's face, and nobody's voice.

    Each pair is a voice card, a picture and a spoken line. The card works in 'facevc convert --face' and in
    'facevc speak --face'. The folder also gets a sheet.png and an index.html, to look at and to listen to.

    Examples:

        facevc sample --seed 1 --count 6 -o pairs/

        facevc sample --seed 2 -o pairs/ --text "Good morning."

        facevc convert speech.wav --face pairs/1-001.safetensors -o out.wav
    """

    def draw(reporter: Reporter) -> Summary:
        from facevc_cli.speaking.narrator import NarratorSettings
        from facevc_cli.stages.sample import SampleConfig, run

        config = SampleConfig(
            output=output,
            count=count,
            seed=seed,
            text=text,
            narrator=NarratorSettings(engine=engine),
            size_px=size,
            checkpoint=checkpoint,
            vocoder=vocoder,
            watermark=watermark,
            device=device,
            overwrite=overwrite,
            dry_run=dry_run,
        )
        return run(config, reporter)

    run_stage(draw, json_out=json, json_lines=True, quiet=quiet, verbose=verbose, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    """Lists what a dry run would draw."""
    for stem in summary.data.get("planned", []):
        results.write_line(f"{stem}.safetensors, {stem}.png, {stem}.wav")
