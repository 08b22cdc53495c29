"""`facevc convert`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from facevc_cli.cli.commands import register_command
from facevc_cli.cli.convert_options import ConvertOptions, OutputOptionFields
from facevc_cli.cli.option_fields import takes_fields_of
from facevc_cli.cli.pipes import spool_output, spool_sources
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Reporter, Summary

if TYPE_CHECKING:
    from facevc_cli.batch.run import ConvertConfig


@register_command("Use", 10)
@takes_fields_of(ConvertOptions)
def convert(options: ConvertOptions) -> None:
    """Convert every source to the voice of every face. The output folder gets one file per pair, and a manifest.csv.

    Examples:

        facevc convert examples/speech.wav --face examples/face.jpg -o out.wav

        facevc convert wavs/ --face faces/ -o converted/ --name '{source}__{target}.flac'

        facevc convert speech.wav --person anna/ --pitch +2 -o anna.wav

        facevc convert speech.wav --mix 'a.jpg=.6 b.jpg=.4' --sweep 5 -o steps/
    """
    from facevc_cli.stages.convert import run

    run_conversions(options, run)


def run_conversions(options: ConvertOptions, stage: Callable[["ConvertConfig", Reporter], Summary]) -> None:
    """Runs a stage with the given options. A source `-` is stdin, and the output `-` is stdout."""
    from facevc_cli.conversion.voice_request import take_mix_words

    words, mixes = take_mix_words(options.sources, options.mixes or ())
    with spool_sources(words) as sources, spool_output(options.output) as output:
        config = options.make_config(output, mixes, sources, options.pairs)
        run_batch(options, output, lambda reporter: stage(config, reporter))


def run_batch(options: OutputOptionFields, output: Path, stage: Callable[[Reporter], Summary]) -> None:
    """Runs a stage that writes many files, and reports as the options say. output: the file behind a pipe, if any."""
    shown = options.output if output is options.output else None  # the file behind a pipe is nobody's business
    run_stage(
        lambda reporter: replace(stage(reporter), output=shown),
        show=_list_planned,
        json_out=options.json and shown is not None,
        json_lines=True,
        quiet=options.quiet,
        verbose=options.verbose,
        debug=options.debug,
    )


def _list_planned(results: Results, summary: Summary) -> None:
    """Lists what a dry run would make."""
    for job in summary.data.get("planned", []):
        results.write_line(f"{job['source']} + {job['target']} -> {job['converted']}")
