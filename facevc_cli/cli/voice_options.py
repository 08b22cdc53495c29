"""The options that say whose voice is wanted. `facevc convert`, `benchmark` and `speak` have them all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from facevc_cli.conversion.voice_request import VoiceOptions

FACE = "A face image, a voice card, or a folder of them. Each is a target. May be repeated."
PERSON = "Several pictures of ONE person: a folder, or files separated by commas. May be repeated."
VOICE = "A recording whose voice is taken instead of a face's. May be repeated."
MIX = (
    "A voice between several: pictures, voice cards or recordings with weights, such as 'a.jpg=.6 b.jpg=.4' "
    "(quoted). May be repeated."
)
SWEEP = "Write N steps of a mix of two instead of the mix, from all of the first to all of the second."
PITCH = "auto (the voice's), keep (the source's), semitones from auto such as +3, or a median such as 180hz."
REGISTER = (
    "auto (as the face is read), masculine, feminine, or a number from 0 (masculine) to 1 (feminine). For faces, mixes "
    "and voice cards."
)
AGE = "auto (as the face is read), or the age in years that the voice should sound like."
GUIDANCE = (
    "Move the result away from the source's own voice, past the target's. 0 is off. Above 1 the sound gets "
    "worse. Default: the model's."
)

Register = Annotated[str, Option("--register", metavar="auto|masculine|feminine|0..1", help=REGISTER)]
Age = Annotated[str, Option("--age", metavar="auto|YEARS", help=AGE)]


@dataclass(frozen=True, kw_only=True)
class VoiceOptionFields:
    faces: Annotated[list[str] | None, Option("--face", metavar="IMG_OR_FOLDER", help=FACE)] = None
    persons: Annotated[list[str] | None, Option("--person", metavar="FOLDER", help=PERSON)] = None
    mixes: Annotated[list[str] | None, Option("--mix", metavar="FACE=WEIGHT ...", help=MIX)] = None
    sweep: Annotated[int | None, Option("--sweep", metavar="N", help=SWEEP)] = None
    voices: Annotated[list[str] | None, Option("--voice", metavar="WAV_OR_FOLDER", help=VOICE)] = None
    pitch: Annotated[str, Option("--pitch", metavar="auto|keep|SEMITONES|HZ", help=PITCH)] = "auto"
    register: Register = "auto"
    age: Age = "auto"
    guidance: Annotated[float | None, Option("--guidance", help=GUIDANCE, rich_help_panel="Model")] = None

    def make_voice_options(self, mixes: list[str]) -> "VoiceOptions":
        """mixes: after `take_mix_words`."""
        from facevc_cli.conversion.voice_request import VoiceOptions

        return VoiceOptions(
            persons=tuple(self.persons or ()),
            mixes=tuple(mixes),
            sweep=self.sweep,
            pitch=self.pitch,
            guidance=self.guidance,
            register=self.register,
            age=self.age,
        )
