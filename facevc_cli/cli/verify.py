"""`facevc verify`."""

from typing import Annotated, Any

import typer

from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Summary


@register_command("Use", 70)
def verify(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Sound or video files, folders (with subfolders, sorted), or @LIST.txt with one path per line.",
            show_default=False,
        ),
    ],
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Show whether facevc converted a file: what its metadata say, and whether it has the watermark.

    The mark is inaudible. It survives MP3, resampling and cropping to 3 s. It is found in fewer than 1 of 1,000
    recordings without it. If nothing is found, that proves nothing: metadata and mark can be removed, and other
    programs leave neither.

    The exit code is 0 whatever is found, and 1 if a file cannot be read. A script reads "synthetic" from --json.

    Examples:

        facevc verify converted.wav

        facevc verify downloads/ --json
    """
    from facevc_cli.stages.verify import VerifyConfig, run

    config = VerifyConfig(files=tuple(sources))
    run_stage(
        lambda reporter: run(config, reporter),
        json_out=json,
        quiet=quiet,
        verbose=verbose,
        debug=debug,
        show=_show,
    )


def _show(results: Results, summary: Summary) -> None:
    for found in summary.data["files"]:
        results.write_line(_describe(found))


def _describe(found: dict[str, Any]) -> str:
    """One line per file: the verdict first, then why."""
    made, mark = found["metadata"], found["watermark"]
    told = "none of facevc's"
    if made:
        told = f"model {made['model']} ({made['model_sha256']}), {made['tool']} {made['version']}, {made['date']}"
    heard = mark["verdict"]
    if mark["found"]:
        heard += f" in {mark['share']:.0%} (p {max(mark['p_value'], 1e-99):.0e})"
    return f"{'synthetic' if found['synthetic'] else 'no mark'}  {found['file']}  metadata: {told}; watermark: {heard}"
