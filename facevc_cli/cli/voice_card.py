"""`facevc voice-card`."""

from pathlib import Path
from typing import Annotated

import typer

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.report import Results, run_stage
from facevc_cli.cli.voice_options import Age, Register
from facevc_cli.core.progress import Summary

MIX = "A mix instead of faces: pictures or voice cards with weights, such as 'a.jpg=.6 b.safetensors=.4'."


@register_command("Use", 20)
def voice_card(
    output: Annotated[Path, typer.Option("--out", "-o", help="The card to write, such as anna.safetensors.")],
    faces: Annotated[
        list[str] | None, typer.Argument(help="Pictures of ONE person, or a folder of them.", show_default=False)
    ] = None,
    mix: Annotated[str | None, typer.Option("--mix", metavar="FACE=WEIGHT ...", help=MIX)] = None,
    register: Register = "auto",
    age: Age = "auto",
    checkpoint: opt.Checkpoint = None,
    temperature: own.Temperature = None,
    on_many: own.OnMany = "largest",
    device: opt.Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Overwrite a card that exists.")] = False,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    debug: opt.Debug = False,
) -> None:
    """Keep the voice that a face recalls in a small file. You can use and mix it without the picture.

    The card holds numbers, the pictures' names and sha256, the model and the date. It holds no picture.

    Examples:

        facevc voice-card anna1.jpg anna2.jpg -o anna.safetensors

        facevc convert speech.wav --face anna.safetensors -o anna.wav

        facevc voice-card --mix 'anna.safetensors=.7 bob.jpg=.3' -o between.safetensors
    """
    from facevc_cli.conversion.voice_request import take_mix_words
    from facevc_cli.stages.voice_card import VoiceCardConfig, run

    pictures, mixes = take_mix_words(faces or (), [mix] if mix else ())
    config = VoiceCardConfig(
        faces=tuple(pictures),
        output=output,
        mix=mixes[0] if mixes else None,
        register=register,
        age=age,
        checkpoint=checkpoint,
        temperature=temperature,
        on_many=on_many,
        device=device,
        overwrite=overwrite,
    )
    run_stage(lambda reporter: run(config, reporter), json_out=json, quiet=quiet, debug=debug, show=_show)


def _show(results: Results, summary: Summary) -> None:
    found = summary.data
    pitch = f"{found['pitch_hz']:.0f} Hz" if found["pitch_hz"] else "not predicted by this model"
    top = ", ".join(f"{one['slot']} ({one['share']:.2f})" for one in found["top_slots"])
    results.write_line(f"median pitch   {pitch}")
    if "register" in found:
        results.write_line(f"register       {found['register']} (0 masculine, 1 feminine), age {found['age']}")
    results.write_line(
        f"address        {found['address_entropy_bits']:.2f} bits, as of {2 ** found['address_entropy_bits']:.1f} of "
        f"{found['slots']} voices"
    )
    results.write_line(f"most of it     voices {top}")
