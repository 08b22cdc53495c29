"""The options that commands share: the same name, help and default everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from facevc_cli.core import choices
from facevc_cli.core.errors import UsageError

WORK = "Work"
SPEAKERS = "Speakers"
REPORT = "Reporting"

MOST_SEED = 2**32 - 1  # numpy's largest seed


def make_choice_parser(literal: Any) -> Callable[[str], str]:
    """Makes the parser of an option that takes the values of a Literal."""

    def parse(value: str) -> str:
        if value not in get_args(literal):
            raise typer.BadParameter(f"{value!r}: {choices.name_allowed(value, get_args(literal))}")
        return value

    return parse


def _parse_device(name: str) -> str:
    try:
        return choices.check_device(name)
    except UsageError as error:
        raise typer.BadParameter(str(error).removeprefix("--device ")) from error


Sources = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders (with subfolders, sorted), @LIST.txt with one path per line, URLs of files or folders, "
        "tar files, or lhotse manifests.",
        show_default=False,
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER|URL",
        help="Open what manifests, and URLs in lists, name only below this place. Default: the manifest's own folder.",
        rich_help_panel=WORK,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        parser=_parse_device,
        help="auto, cpu, cuda, cuda:N or mps.",
        rich_help_panel=WORK,
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", "-j", min=0, help="Number of processes; 0 takes one per CPU core.", rich_help_panel=WORK),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Where the work is done: local, ray, ray://HOST:PORT, slurm, or an installed package's engine.",
        rich_help_panel=WORK,
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of everything drawn at random.", rich_help_panel=WORK)
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Take only the first N inputs.", rich_help_panel=WORK)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.", rich_help_panel=WORK)
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Do finished work again. By default it is skipped if its settings are the same.",
        rich_help_panel=WORK,
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast", help="Stop at the first bad input instead of going on with the others.", rich_help_panel=WORK
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do only part I of N. A last run without --shard merges the parts.",
        rich_help_panel=WORK,
    ),
]
KeepShards = Annotated[
    int | None,
    typer.Option(
        "--keep-shards",
        metavar="ITEMS",
        min=1,
        max=1 << 20,
        help="Do not merge. Leave shards of at most so many items, and write an index that reads as one store.",
        rich_help_panel=WORK,
    ),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        "--speaker-pattern",
        metavar="REGEX",
        help="The pattern's first group in the utterance id is the speaker. Default: the parent folder.",
        rich_help_panel=SPEAKERS,
    ),
]
SpeakersTable = Annotated[
    Path | None,
    typer.Option(
        "--speakers", metavar="TABLE.csv", help="A table with the columns utterance,speaker.", rich_help_panel=SPEAKERS
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as one JSON object on stdout.", rich_help_panel=REPORT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors on stderr.", rich_help_panel=REPORT)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for every item.", rich_help_panel=REPORT)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=REPORT)]

MODEL = "Model"
Preset = Annotated[str, typer.Option("--preset", help="fvmvc (the paper), starter or toy.", rich_help_panel=MODEL)]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.yaml", help="A file of differences from the preset.", rich_help_panel=MODEL),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="One difference; overrides preset and file. May be repeated.",
        rich_help_panel=MODEL,
    ),
]
Precision = Annotated[
    choices.Precision,
    typer.Option(
        "--precision",
        metavar="no|bf16",
        parser=make_choice_parser(choices.Precision),
        help="no is float32.",
        rich_help_panel=WORK,
    ),
]
StopAt = Annotated[
    int | None,
    typer.Option(
        "--stop-at",
        min=1,
        help="Stop after this step. The command without this option continues.",
        rich_help_panel=WORK,
    ),
]
SAMPLING_WEIGHTS = "Columns utterance,weight: how often each is drawn."
SamplingWeights = Annotated[
    Path | None,
    typer.Option("--sampling-weights", metavar="TABLE.csv", help=SAMPLING_WEIGHTS, rich_help_panel=WORK),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FOLDER",
        help="A run's or checkpoint's folder. Default: the bundled starter.",
        rich_help_panel=MODEL,
    ),
]
