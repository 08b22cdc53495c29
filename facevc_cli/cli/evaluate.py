"""`facevc evaluate`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.evaluate_tables import show
from facevc_cli.cli.report import run_stage

_known = partial(typer.Option, rich_help_panel="What is known")
_judged = partial(typer.Option, rich_help_panel="What is judged")
_written = partial(typer.Option, rich_help_panel="What is written")
TABLE, TEST = "TABLE.csv", "FILE.html"
ABOUT_TARGETS = (
    "About targets: target, gender, references (recordings separated by |), parallel (of the source's words)."
)
JUDGE = "Whose voice embeddings are compared: resemblyzer, voicefilter, campplus, or an installed package's judge."
OTHERS = "Compare voices also by voicefilter and campplus, if installed. They trained no model of facevc."
METRIC = "Also measure this metric of an installed package. May be repeated."
ANSWERS = "Answers to a listening test, for MOS and CPR. May be repeated."


@register_command("Use", 60)
def evaluate(
    manifest: Annotated[
        Path,
        typer.Argument(
            help="The manifest.csv of convert or its folder, any table of conversions, or a folder with --pattern.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for metrics.json, metrics.csv and report.html.")
    ] = None,
    pattern: Annotated[
        str | None,
        _known(
            "--pattern",
            metavar="TEXT",
            help="How files are named: {source}, {target}, {system}, {face}, as in '{source}__{target}.wav'.",
        ),
    ] = None,
    labels: Annotated[Path | None, _known("--labels", metavar=TABLE, help=ABOUT_TARGETS)] = None,
    sources: Annotated[
        Path | None,
        _known("--sources", metavar=TABLE, help="About sources: source_id, file, gender, speaker, transcript."),
    ] = None,
    calibrate: Annotated[
        Path | None,
        _known("--calibrate", metavar=TABLE, help="Real recordings (file, speaker) to set the threshold of SHR, SDR."),
    ] = None,
    answers: Annotated[list[Path] | None, _known("--answers", metavar=TABLE, help=ANSWERS)] = None,
    by: Annotated[
        list[str] | None,
        _judged("--by", metavar="COLUMN", help="Also give the figures for each value of this column. May be repeated."),
    ] = None,
    speaker_judge: Annotated[str, _judged(help=JUDGE)] = "resemblyzer",
    independent_judges: Annotated[bool, _judged("--independent-judges/--no-independent-judges", help=OTHERS)] = True,
    metric: Annotated[list[str] | None, _judged("--metric", metavar="NAME", help=METRIC)] = None,
    recogniser: Annotated[
        str, _judged(help="The recogniser for WER and CER: auto, none, or a CTranslate2 Whisper folder or name.")
    ] = "auto",
    language: Annotated[
        str | None, _judged(help="The language of the sources, such as en. Default: recognised for each source.")
    ] = None,
    naturalness: Annotated[
        bool,
        _judged(
            "--naturalness/--no-naturalness", help="Predict MOS with DistillMOS, and with DNSMOS if it is installed."
        ),
    ] = True,
    html: Annotated[
        bool, _written("--html/--no-html", help="Write report.html, a page to look at and to listen to.")
    ] = True,
    grid: Annotated[int, _written(min=0, help="At most this many sources and faces get players on the page.")] = 8,
    listening_test: Annotated[
        Path | None, _written(metavar=TEST, help="Write a page that asks listeners, for MOS and CPR.")
    ] = None,
    listening_items: Annotated[
        int, _written(min=1, help="Number of recordings to rate and of pairs to compare, over all systems.")
    ] = 30,
    seed: opt.Seed = 0,
    jobs: opt.Jobs = 0,
    limit: opt.Limit = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Measure conversions: SHO, SHR, SDO, SDR, gender accuracy and more, each with its 95 % interval over targets.

    Examples:

        facevc evaluate out/ -o report/ --labels people.csv --sources utterances.csv

        facevc evaluate others/ --pattern '{system}/{source}__{target}.wav' --recogniser none --json
    """
    from facevc_cli.stages.evaluate import EvaluateConfig, run

    config = EvaluateConfig(
        manifest=manifest,
        output=output,
        labels=labels,
        sources=sources,
        recogniser=recogniser,
        language=language,
        naturalness=naturalness,
        independent_judges=independent_judges,
        calibrate=calibrate,
        seed=seed,
        jobs=jobs,
        limit=limit,
        pattern=pattern,
        by=tuple(by or ()),
        speaker_judge=speaker_judge,
        html=html,
        grid=grid,
        listening_test=listening_test,
        listening_items=listening_items,
        answers=tuple(answers or ()),
        metrics=tuple(metric or ()),
    )
    run_stage(
        lambda reporter: run(config, reporter), json_out=json, quiet=quiet, verbose=verbose, debug=debug, show=show
    )
