"""Pictures that a model of styles makes: a face restyled, a face that fits a voice, and pairs of nobody.

Composites give the content of imagined faces, and a style the rest. So these pictures show nobody, too.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.recordings import Recording
from facevc_cli.conversion.styles import Stylist, has_styles, is_card
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.faces.analyser import NoFaceError
from facevc_cli.imagining.draw import DrawnVoice, draw_register
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.imaginer import MOST_STEPS_SHOWN, Imaginer, Portrait
from facevc_cli.imagining.judge import FIGURES, Judgement, PictureJudge
from facevc_cli.imagining.voice import VoiceDescription
from facevc_cli.portraits.composites import CompositeSet, load_composites

AGE_SCALE_YEARS = 50.0  # so many years count as much as the other register


@dataclass(frozen=True, eq=False)
class StyledVoice:
    """A voice that a face is made for. style: (1, style_dim). age_years: None if nobody knows."""

    style: Tensor
    feminine: float
    age_years: float | None = None

    def ask_for(self, feminine: float | None, age_years: float | None) -> "StyledVoice":
        """UsageError if anything is asked: the style says it all."""
        if feminine is not None or age_years is not None:
            raise UsageError(
                "--register and --age: a model of styles takes both from the voice. Leave them out, or leave "
                "--checkpoint out."
            )
        return self


@dataclass(frozen=True)
class Unjudged:
    """No face was seen in a picture."""

    def describe(self) -> dict[str, str]:
        return dict.fromkeys(FIGURES, "")


@dataclass(frozen=True, eq=False)
class StyledPortrait:
    """A face that a model of styles made. picture: (H, W, 3) uint8.

    crop: of the composite that gave its content. style: of the voice. scores: `total` is the cosine of the voice's
    style and the picture's own. parts: the composite by number. judged: empty if no face is seen in the picture.
    """

    picture: np.ndarray
    crop: np.ndarray
    style: Tensor
    scores: dict[str, float]
    parts: list[tuple[int, float]]
    judged: Judgement | Unjudged


AnyVoice = VoiceDescription | StyledVoice
AnyPortrait = Portrait | StyledPortrait


class FaceImaginer(Protocol):
    """`Imaginer`, or one that takes what its own `listen` returned and makes portraits of its own."""

    @property
    def model_name(self) -> str: ...

    def listen(self, voice: Recording) -> Any: ...

    def imagine_numbered(
        self, voice: Any, numbers: Collection[int], *, seed: int = 0, size_px: int | None = None
    ) -> Iterator[Any]: ...

    def draw_steps(self, portrait: Any, size_px: int | None = None) -> list[np.ndarray]: ...


class StyledImaginer:
    """Makes faces in the styles of voices. It is used as `Imaginer` is. FaceVCError if the model has no styles."""

    def __init__(
        self,
        stylist: Stylist,
        *,
        composites: CompositeSet | None = None,
        judge: PictureJudge | None = None,
    ):
        self.stylist = stylist
        self.composites = load_composites() if composites is None else composites
        self.judge = judge or PictureJudge()

    @property
    def model_name(self) -> str:
        return self.stylist.converter.checkpoint.config.name

    @cached_property
    def _listener(self) -> Imaginer:
        """What hears the register and the age in a voice: the composite with which a face begins is chosen by these."""
        return Imaginer(composites=self.composites, judge=self.judge)

    def listen(self, voice: Recording) -> StyledVoice:
        """Reads the style of a recording or voice card. FaceVCError if it is silent or cannot be read."""
        style = self.stylist.read_voice(voice)
        if is_card(voice):  # nobody can listen to it
            return StyledVoice(style, self.guess_feminine(style))
        heard = self._listener.listen(voice)
        return StyledVoice(style, heard.feminine, heard.age_years)

    def guess_feminine(self, style: Tensor) -> float:
        """Returns the gender whose middle style is nearer: 1 for a woman's."""
        man, woman = (float(torch.norm(style - self.stylist.draw(register))) for register in (0.0, 1.0))
        return float(woman < man)

    def imagine_numbered(
        self, voice: StyledVoice, numbers: Collection[int], *, seed: int = 0, size_px: int | None = None
    ) -> Iterator[StyledPortrait]:
        """Yields some of many faces in the voice's style, by their numbers from 0. Each begins with another composite.

        seed: without effect; the order of the composites is fixed. size_px: of a side; None: the composites' own.
        """
        order = rank_composites(FaceSet.of(self.composites), voice.feminine, voice.age_years)
        for number in numbers:
            yield self._make(voice, int(order[number % len(order)]), size_px)

    def draw_steps(self, portrait: StyledPortrait, size_px: int | None = None) -> list[np.ndarray]:
        """Draws the way to a portrait: from the composite's own style to the voice's."""
        own = self.stylist.read_crop(portrait.crop)
        shares = np.linspace(0, 1, MOST_STEPS_SHOWN)
        return [self._draw(portrait.crop, torch.lerp(own, portrait.style, float(t)), size_px) for t in shares]

    def _make(self, voice: StyledVoice, number: int, size_px: int | None) -> StyledPortrait:
        crop = self.stylist.cut(self.composites.pictures[number])
        picture = self._draw(crop, voice.style, size_px)
        fit = float(F.cosine_similarity(self.stylist.read_crop(picture), voice.style)[0])
        try:
            meant = self.composites.descriptors[number]
            judged: Judgement | Unjudged = self.judge.judge(picture, meant, voice.feminine)
        except NoFaceError:
            judged = Unjudged()
        return StyledPortrait(picture, crop, voice.style, {"total": fit}, [(number, 1.0)], judged)

    def _draw(self, crop: np.ndarray, style: Tensor, size_px: int | None) -> np.ndarray:
        side = size_px or max(self.composites.pictures.shape[1:3])
        made = Image.fromarray(self.stylist.restyle(crop, style))
        return np.asarray(made.resize((side, side), Image.Resampling.LANCZOS))


class StyledDrawer:
    """Draws styles of nobody from noise. It is used as `VoiceDrawer` is."""

    def __init__(self, stylist: Stylist):
        self.stylist = stylist

    def draw(self, seed: int, number: int) -> DrawnVoice:
        """Draws one voice. The same seed and number give the same. A style has no age."""
        feminine = draw_register(seed, number)
        style = self.stylist.draw(feminine, np.random.default_rng((seed, number)))
        return DrawnVoice(Target(style), feminine, None)


def rank_composites(faces: FaceSet, feminine: float, age_years: float | None) -> np.ndarray:
    """Returns the numbers of the faces, those of the nearest register and age first."""
    distance = np.abs(faces.registers - feminine)
    if age_years is not None:
        distance = distance + np.abs(faces.ages - age_years) / AGE_SCALE_YEARS
    return np.argsort(distance, kind="stable")


def make_imaginer(
    checkpoint: Path | None, device: str, *, composites: CompositeSet, reporter: Reporter = SILENT
) -> FaceImaginer:
    """Chooses by what the model can do. FaceVCError if it neither has styles nor compares faces with voices."""
    if has_styles(checkpoint):
        return StyledImaginer(Stylist(Converter(checkpoint, "griffin-lim", device)), composites=composites)
    return Imaginer(checkpoint, device, composites=composites, reporter=reporter)
