"""`facevc speak`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevc_cli.cli import options as opt
from facevc_cli.cli.benchmark_options import Labels, System
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.convert import run_batch
from facevc_cli.cli.convert_options import OutputOptionFields
from facevc_cli.cli.option_fields import takes_fields_of
from facevc_cli.cli.options import make_choice_parser
from facevc_cli.cli.pipes import read_text_from_stdin, spool_output
from facevc_cli.core import choices

TEXT = "What is said, in quotes. Several are several results. - reads it from stdin."
FILE = "A .txt, .md or .srt file, or a .csv table with the columns id, text and face. May be repeated."
ENGINE = "What speaks before the conversion: kokoro, espeak, 'command:PROGRAM ...', or an installed package's engine."
ENGINE_VOICE = "The engine's own voice, such as am_michael. Default: a neutral one."
LANGUAGE = "en-us, en-gb, es, or another that the engine speaks."
SPEED = "0.5 (slow) to 2 (fast)."
PAUSE = "Seconds of silence after a paragraph. A sentence gets half of it, a line .3 of it."
HOW = "What makes the voice: the conversion, the engine's own timbre near the voice, or first that and then both."
PROTOCOL = "Draw texts and faces as a benchmark does: face-tts or a YAML file. Needs --labels."

_speech = partial(Option, rich_help_panel="Speech")
_how = partial(_speech, "--how", metavar="convert|timbre|both", parser=make_choice_parser(choices.How))


@dataclass(frozen=True, kw_only=True)
class SpeakOptions(OutputOptionFields):
    texts: Annotated[list[str] | None, Argument(metavar="TEXT", help=TEXT, show_default=False)] = None
    text_files: Annotated[list[Path] | None, Option("--text", metavar="FILE", help=FILE)] = None
    engine: Annotated[str, _speech("--engine", metavar="NAME", help=ENGINE)] = "kokoro"
    engine_voice: Annotated[str, _speech("--engine-voice", metavar="NAME", help=ENGINE_VOICE)] = ""
    language: Annotated[str, _speech("--language", metavar="CODE", help=LANGUAGE)] = "en-us"
    speed: Annotated[float, _speech("--speed", help=SPEED)] = 1.0
    pause: Annotated[float, _speech("--pause", metavar="SECONDS", help=PAUSE)] = 0.5
    how: Annotated[choices.How, _how(help=HOW)] = "convert"
    protocol: Annotated[
        str | None, Option("--protocol", metavar="NAME_OR_YAML", help=PROTOCOL, rich_help_panel="Benchmark")
    ] = None
    labels: Labels = None
    system: System = None
    seed: opt.Seed = 0


@register_command("Use", 12)
@takes_fields_of(SpeakOptions)
def speak(options: SpeakOptions) -> None:
    """Speak a text in the voice of a face. The output folder gets one file per text and face, and a manifest.csv.

    The engine kokoro needs the extra: pip install "facevc[speak]".

    Examples:

        facevc speak "Hi, the weather is nice today." --face examples/face.jpg -o hello.wav

        facevc speak --text story.md --face faces/ -o spoken/ --speed .9

        facevc speak --text lines.csv -o spoken/

        facevc speak --text texts.csv --face faces/ -o benchmark/ --protocol face-tts --labels people.csv

        facevc speak "Hello." --engine espeak --voice speech.wav -o hello.wav
    """
    from facevc_cli.conversion.voice_request import take_mix_words
    from facevc_cli.speaking.narrator import NarratorSettings
    from facevc_cli.stages.speak import SpeakConfig, run

    texts, mixes = take_mix_words(options.texts or (), options.mixes or ())
    with spool_output(options.output) as output:
        config = options.make_config(output, mixes)
        settings = NarratorSettings(
            engine=options.engine,
            voice=options.engine_voice,
            language=options.language,
            speed=options.speed,
            pause_s=options.pause,
            how=options.how,
        )
        run_batch(
            options,
            output,
            lambda reporter: run(
                SpeakConfig(
                    conversions=config,
                    texts=tuple(read_text_from_stdin() if text == "-" else text for text in texts),
                    text_files=tuple(options.text_files or ()),
                    narrator=settings,
                    protocol=options.protocol,
                    labels=options.labels,
                    system=options.system,
                    seed=options.seed,
                ),
                reporter,
            ),
        )
