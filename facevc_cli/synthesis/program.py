"""Engines that are programs on this machine: espeak-ng, or any command that reads text and writes a WAV file."""

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.synthesis.synthesiser import Manner
from facevc_cli.voices.sketch import VoiceSketch

LONGEST_S = 300.0  # a program that takes longer for one sentence hangs
ESPEAK_PROGRAMS = ("espeak-ng", "espeak")
ESPEAK_WORDS_PER_MINUTE = 160  # 175 is its own default, which sounds hurried
COMMAND_EXAMPLE = "--engine 'command:espeak-ng -v {voice} --stdin --stdout'"


class ProgramSynthesiser:
    """Runs a program for each sentence. No shell is involved: the text is on stdin, and never part of a command."""

    name = "program"

    @property
    def option(self) -> str:
        """The value of --engine, for messages."""
        return self.name

    def make_arguments(self, manner: Manner) -> list[str]:
        """Returns the program and its arguments."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        path = shutil.which(self.make_arguments(Manner())[0]) or ""
        about = Path(path).stat() if path else None
        return f"{self.name} {path} {about.st_size if about else 0}"

    def check(self, manner: Manner) -> None:
        """Speaks a word, so that what is missing is told before any work."""
        self.synthesise("one", manner)

    def name_voice(self, manner: Manner) -> str:
        return manner.voice or manner.language

    def find_unsayable(self, text: str, language: str) -> Collection[str]:
        return ()

    def synthesise(self, text: str, manner: Manner, sketch: VoiceSketch | None = None) -> tuple[np.ndarray, int]:
        arguments = self.make_arguments(manner)
        if shutil.which(arguments[0]) is None:
            raise FaceVCError(
                f"--engine {self.option}: the program {arguments[0]} is not on this machine. Install it, or choose "
                "another engine, such as kokoro."
            )
        return _read_wav(_run(arguments, text, self.option), arguments[0], self.option)


class EspeakSynthesiser(ProgramSynthesiser):
    """espeak-ng, or its ancestor espeak: a robot's voice in over 100 languages, from a program of the machine."""

    name = "espeak"

    def make_arguments(self, manner: Manner) -> list[str]:
        program = next(filter(shutil.which, ESPEAK_PROGRAMS), ESPEAK_PROGRAMS[0])
        words = round(ESPEAK_WORDS_PER_MINUTE * manner.speed)
        return [program, "-v", manner.voice or manner.language, "-s", str(words), "--stdin", "--stdout"]


class CommandSynthesiser(ProgramSynthesiser):
    """A user's own command. `{voice}`, `{language}` and `{speed}` in its arguments are replaced."""

    def __init__(self, template: str):
        try:
            self._words = shlex.split(template)
        except ValueError as error:
            raise UsageError(
                f"--engine command:{template}: {error}. Give a command, as in {COMMAND_EXAMPLE}."
            ) from error
        if not self._words:
            raise UsageError(f"--engine command: expected a program after the colon, as in {COMMAND_EXAMPLE}.")
        self._template = template
        digest = hashlib.sha256(template.encode()).hexdigest()[:8]
        self.name = f"command {Path(self._words[0]).name} {digest}"

    @property
    def option(self) -> str:
        return shlex.quote(f"command:{self._template}")

    def make_arguments(self, manner: Manner) -> list[str]:
        values = {"voice": manner.voice, "language": manner.language, "speed": f"{manner.speed:g}"}
        return [_fill(word, values) for word in self._words]


def _fill(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _run(arguments: Sequence[str], text: str, name: str) -> bytes:
    shown = shlex.join(arguments)
    try:
        done = subprocess.run(arguments, input=text.encode(), capture_output=True, check=False, timeout=LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise FaceVCError(
            f"--engine {name}: {shown} did not end within {LONGEST_S:g} s. It must read text from stdin until its end, "
            "and write a WAV file to stdout."
        ) from error
    except OSError as error:
        raise FaceVCError(f"--engine {name}: {shown} could not be started ({error.strerror}). Check it.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise FaceVCError(
            f"--engine {name}: {shown} failed with exit code {done.returncode} ({said[0][:200]}). Check it."
        )
    return done.stdout


def _read_wav(data: bytes, program: str, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        # A program that writes to a pipe cannot know the length in the header beforehand. libsndfile reads to the end.
        wav, rate = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise FaceVCError(
            f"--engine {name}: expected a WAV file on the stdout of {program}, found {len(data)} bytes of something "
            "else. Check its options."
        ) from error
    if not len(wav) or not np.isfinite(wav).all():
        raise FaceVCError(f"--engine {name}: {program} gave no sound. Check its options and the text.")
    return np.ascontiguousarray(wav.mean(1)), int(rate)
