"""`facevc evaluate`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.report import ConsoleReporter, run_stage
from facevc_cli.progress import Summary

KNOWN, JUDGED = "What is known", "What is judged"
_known = partial(typer.Option, metavar="TABLE.csv", rich_help_panel=KNOWN)


def evaluate(
    manifest: Annotated[Path, typer.Argument(help="The manifest.csv that convert wrote, or its folder.", show_default=False)],
    output: Annotated[Path | None, typer.Option("--out", "-o", help="A folder for metrics.json and metrics.csv.")] = None,
    labels: Annotated[
        Path | None, _known("--labels", help="About targets: target, gender, references (recordings between |).")
    ] = None,
    sources: Annotated[Path | None, _known("--sources", help="About sources: source_id, gender, transcript.")] = None,
    recogniser: Annotated[
        str, typer.Option(help="For WER, CER: auto, none, a CTranslate2 Whisper folder or name.", rich_help_panel=JUDGED)
    ] = "auto",
    language: Annotated[
        str | None, typer.Option(help="Spoken in the sources, such as en; by default recognised for each.", rich_help_panel=JUDGED)
    ] = None,
    naturalness: Annotated[
        bool, typer.Option("--naturalness/--no-naturalness", help="Predict MOS by DistillMOS.", rich_help_panel=JUDGED)
    ] = True,
    calibrate: Annotated[
        Path | None, _known("--calibrate", help="Real recordings (file, speaker) to set the threshold of SHR and SDR by.")
    ] = None,
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

        facevc evaluate out/manifest.csv --recogniser none --no-naturalness --json
    """
    from facevc_cli.stages.evaluate import EvaluateConfig, run

    config = EvaluateConfig(manifest, output, labels, sources, recogniser, language, naturalness, calibrate, seed, jobs, limit)
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, verbose=verbose, debug=debug, show=_show)


def _show(reporter: ConsoleReporter, summary: Summary) -> None:
    from facevc_cli.metrics.report import BETTER

    for system, metrics in summary.data["systems"].items():
        slices = summary.data["slices"][system]
        columns = ["metric", "better", "value", "95 % interval", "n", *slices]
        rows = [
            [name, BETTER[name], f"{f['value']:.3f}", _interval(f), str(f["n"]), *(_value(part.get(name)) for part in slices.values())]
            for name, f in metrics.items()
        ]
        reporter.table(system, columns, rows)
    threshold, judge = summary.data["threshold"], summary.data["gender_judge"]
    reporter.note(f"threshold {threshold['theta']:.3f}, equal error {threshold['eer']:.1%}: {threshold['origin']}")
    reporter.note(f"gender heard by {judge}")


def _interval(figure: dict[str, Any]) -> str:
    return "" if figure["low"] is None else f"{figure['low']:.3f} to {figure['high']:.3f}"


def _value(figure: dict[str, Any] | None) -> str:
    return "" if figure is None else f"{figure['value']:.3f}"
