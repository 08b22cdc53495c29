"""Finds the engine that a value of `--engine` names."""

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.plugins import Plugins
from facevc_cli.synthesis.synthesiser import Synthesiser

SYNTHESISERS = Plugins(
    "facevc.synthesisers",
    "--engine",
    "speech engine",
    ("kokoro", "espeak"),
    "'command:PROGRAM ARGUMENTS' for a program that reads text on stdin",
)
COMMAND = "command:"


def load_synthesiser(name: str) -> Synthesiser:
    """Loads an engine. UsageError if there is none of this name; FaceVCError if it lacks a package or program."""
    if name == "kokoro":
        from facevc_cli.synthesis.kokoro.engine import KokoroSynthesiser

        return KokoroSynthesiser()
    if name == "espeak":
        from facevc_cli.synthesis.program import EspeakSynthesiser

        return EspeakSynthesiser()
    if name.startswith(COMMAND):
        from facevc_cli.synthesis.program import CommandSynthesiser

        return CommandSynthesiser(name.removeprefix(COMMAND))
    made = SYNTHESISERS.make(name)
    if not isinstance(made, Synthesiser):
        raise FaceVCError(
            f"--engine {name} ({SYNTHESISERS.describe_release(name)}): expected a "
            f"facevc_cli.synthesis.synthesiser.Synthesiser, found {type(made).__name__}. Take another engine, or "
            "another version of its package."
        )
    return made
