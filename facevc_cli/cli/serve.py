"""`facevc serve`."""

from typing import Annotated

from typer import Option

from facevc_cli.cli import convert_options as convert
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import run_stage

PAGE = "Page"

Host = Annotated[
    str, Option("--host", help="Address to listen on. 0.0.0.0 lets other machines in.", rich_help_panel=PAGE)
]
Port = Annotated[
    int,
    Option(
        "--port", min=0, max=65535, help="Port. If it is taken, the next free one. 0 takes any.", rich_help_panel=PAGE
    ),
]
MaxSeconds = Annotated[
    float,
    Option(
        "--max-seconds", help="Longest speech, in seconds. The limit of a text follows from it.", rich_help_panel=PAGE
    ),
]
MaxMb = Annotated[
    float,
    Option(
        "--max-mb", help="Largest upload, in megabytes. All together may take 20 times as much.", rich_help_panel=PAGE
    ),
]
Open = Annotated[bool, Option("--open/--no-browser", help="Open the page in the browser.", rich_help_panel=PAGE)]


@register_command("Use", 40, needs_arguments=False)
def serve(
    host: Host = "127.0.0.1",
    port: Port = 7860,
    max_seconds: MaxSeconds = 60.0,
    max_mb: MaxMb = 50.0,
    open_browser: Open = False,
    checkpoint: opt.Checkpoint = None,
    vocoder: convert.Vocoder = None,
    device: opt.Device = "auto",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Convert, speak, imagine and restyle on a page in the browser. Ctrl-C ends it.

    Only this machine can reach the page, unless --host says otherwise. The page asks no other host, and deletes uploads
    after use. It needs 'pip install "facevc[page]"', and 'pip install "facevc[page,speak]"' to speak texts.

    Examples:

        facevc serve

        facevc serve --open --max-seconds 20 --checkpoint runs/train
    """
    from facevc_cli.stages.serve import ServeConfig, run

    config = ServeConfig(
        host=host,
        port=port,
        checkpoint=checkpoint,
        vocoder=vocoder,
        device=device,
        max_seconds=max_seconds,
        max_mb=max_mb,
        open_browser=open_browser,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, debug=debug)
