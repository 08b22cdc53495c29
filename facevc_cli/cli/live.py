"""`facevc live`."""

from facevc_cli.cli.commands import register_command
from facevc_cli.cli.live_options import LiveOptions
from facevc_cli.cli.option_fields import takes_fields_of
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.core.progress import Reporter, Summary


@register_command("Use", 14)
@takes_fields_of(LiveOptions)
def live(options: LiveOptions) -> None:
    """Speak in the voice of a face, while you speak: from the microphone to headphones or into other programs.

    It needs the extra: pip install "facevc[live]". Several faces are voices to change between, with the key n.

    Examples:

        facevc live --face examples/face.jpg

        facevc live --face anna.jpg --face bert.jpg --output "CABLE Input" --monitor

        facevc live --face examples/face.jpg --virtual-mic

        facevc live --list-devices

        facevc live --simulate examples/speech.wav --face examples/face.jpg -o live.wav
    """

    def stage(reporter: Reporter) -> Summary:
        from facevc_cli.stages import live as stages

        return stages.list_all() if options.list_devices else stages.run(options.make_config(), reporter)

    show = _show_devices if options.list_devices else None
    run_stage(stage, show=show, json_out=options.json, json_lines=True, quiet=options.quiet, debug=options.debug)


def _show_devices(results: Results, summary: Summary) -> None:
    """Lists the devices; a star marks the computer's own choice."""
    rows = [
        [
            str(device["number"]),
            device["name"],
            device["host"],
            _mark(device["inputs"], device["is_default_input"]),
            _mark(device["outputs"], device["is_default_output"]),
            str(device["rate"]),
        ]
        for device in summary.data["devices"]
    ]
    results.write_table("Devices", ["number", "name", "interface", "microphone", "loudspeaker", "Hz"], rows)


def _mark(channels: int, is_default: bool) -> str:
    return f"{'yes' if channels else ''}{' *' if channels and is_default else ''}"
