"""`facevc restyle`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Reporter, Summary

PHOTOS = "Photos of faces; files, folders, or @LIST.txt with one path per line."
OUT = "A folder; or a .png, .jpg or .webp file for one photo."
FACE = "Move the face towards this one: its register, its age and its look."
VOICE = "Move the face to the register and the age that are heard in this recording."
REGISTER = "masculine, feminine, or a number from 0 (masculine) to 1 (feminine). auto: as --face or --voice say."
AGE = "The age in years. auto: as --face or --voice say."
CHECKPOINT = (
    "A model of styles, such as one of 'train --preset xfavot-64'. Each picture is then the face alone, as large as "
    "the model makes it. It takes one of --face, --voice and --register. Default: composites."
)
STRENGTH = "How far the face is moved: above 0, 1 the whole way, at most 1.5."


@register_command("Use", 16)
def restyle(
    photos: Annotated[list[str], Argument(metavar="PHOTO", help=PHOTOS, show_default=False)],
    output: Annotated[Path, Option("--out", "-o", help=OUT)],
    face: Annotated[Path | None, Option("--face", metavar="IMG", help=FACE)] = None,
    voice: Annotated[Path | None, Option("--voice", metavar="WAV", help=VOICE)] = None,
    register: Annotated[str, Option("--register", metavar="auto|masculine|feminine|0..1", help=REGISTER)] = "auto",
    age: Annotated[str, Option("--age", metavar="auto|YEARS", help=AGE)] = "auto",
    strength: Annotated[float, Option("--strength", help=STRENGTH)] = 1.0,
    checkpoint: Annotated[Path | None, Option("--checkpoint", metavar="RUN", help=CHECKPOINT)] = None,
    on_many: own.OnMany = "largest",
    limit: opt.Limit = None,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: Annotated[bool, Option("--json", help=own.JSON, rich_help_panel=opt.REPORT)] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Move the face in each photo towards another face, a voice, or a register and an age.

    Pose, expression, glasses and background stay. Only the face changes, in the photo's own resolution. The picture
    says in its metadata that it is synthetic. Profiles, tiny faces and drawings are refused.

    Examples:

        facevc restyle photo.jpg --register feminine -o restyled.png

        facevc restyle photo.jpg --voice speech.wav --strength .7 -o restyled.jpg

        facevc restyle photos/ --age 65 -o older/

        facevc restyle photo.jpg --face other.jpg -o between.png

        facevc restyle photo.jpg --voice speech.wav --checkpoint runs/xfavot -o restyled.png
    """

    def work(reporter: Reporter) -> Summary:
        from facevc_cli.stages import restyle, restyle_in_styles

        options: dict[str, Any] = {
            "photos": tuple(photos),
            "output": output,
            "face": face,
            "voice": voice,
            "register": register,
            "age": age,
            "strength": strength,
            "on_many": on_many,
            "limit": limit,
            "overwrite": overwrite,
            "dry_run": dry_run,
            "fail_fast": fail_fast,
        }
        if checkpoint is None:
            return restyle.run(restyle.RestyleConfig(**options), reporter)
        return restyle_in_styles.run(restyle_in_styles.StyleConfig(checkpoint=checkpoint, **options), reporter)

    run_stage(work, json_out=json, json_lines=True, quiet=quiet, verbose=verbose, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    """Lists what a dry run would make."""
    for one in summary.data.get("planned", []):
        results.write_line(f"{one['photo']} -> {one['picture']}")
