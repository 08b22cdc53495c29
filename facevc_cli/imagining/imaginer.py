"""Imagines faces that fit a voice: chooses composites by their scores, mixes them, and has the result judged.

    from facevc_cli.imagining import Imaginer
    portrait = Imaginer().imagine("speech.wav")

A composite is the mean of many people, so a mixture of three shows nobody. It is a face that fits the voice, not the
speaker's.
"""

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.recordings import Recording
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.faces.analyser import NoFaceError
from facevc_cli.families.checkpoint import find_bundled_matcher, find_checkpoint_family
from facevc_cli.families.matching import Matcher
from facevc_cli.imagining.choice import Start, draw_starts, keep_side
from facevc_cli.imagining.climb import climb
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.judge import Judgement, PictureJudge
from facevc_cli.imagining.score import FitScorer, FitScores, explain_unusable
from facevc_cli.imagining.voice import VoiceDescription, listen
from facevc_cli.portraits.composites import CompositeSet, load_composites
from facevc_cli.portraits.mixture import MixedFace, mix_composites

if TYPE_CHECKING:
    from facevc_cli.voices.dvector import VoiceEmbedder

TIE, SAMPLE_TIE = 4.0, 8.0  # to the start: a sample must not become the best face again
EXAGGERATION = 1.5  # of mixtures of composites; beyond, they look like caricatures
MOST_STEPS_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Portrait:
    """An imagined face.

    picture: (H, W, 3) uint8. landmarks: (p, 2) px. numbers: (k,) of the mixed composites. path: the weights (k,) of
    each step, from the start to those of the picture. scores: the terms of the picture's mixture and their `total`.
    """

    picture: np.ndarray
    landmarks: np.ndarray
    numbers: np.ndarray
    path: tuple[np.ndarray, ...]
    scores: dict[str, float]
    judged: Judgement

    @property
    def weights(self) -> np.ndarray:
        return self.path[-1]

    @property
    def parts(self) -> list[tuple[int, float]]:
        """The mixed composites by number, with their shares."""
        shares = zip(self.numbers, self.weights, strict=True)
        return [(int(number), round(float(share), 4)) for number, share in shares]


class Imaginer:
    """Loads the composites, and a model that compares faces with voices. Other networks are loaded when first needed.

    checkpoint: None takes the bundled model that ranks faces and voices, else the starter's memory. A voice card needs
    the model that made it: this one if it converts, else the starter. FaceVCError if the model compares nothing.
    """

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        device: str = "auto",
        *,
        composites: CompositeSet | None = None,
        judge: PictureJudge | None = None,
        reporter: Reporter = SILENT,
    ):
        self.checkpoint, self.device = checkpoint, device
        self.matcher = Matcher(find_bundled_matcher() if checkpoint is None else checkpoint, device)
        if why := explain_unusable(self.matcher):
            reporter.note(f"{why}. Faces are chosen by register and age alone.")
        self.scorer = FitScorer(self.matcher)
        self.composites = load_composites() if composites is None else composites
        self.faces = FaceSet.of(self.composites)
        self.exaggeration = EXAGGERATION
        self.judge = judge or PictureJudge()

    def imagine(self, voice: Recording | VoiceDescription, *, seed: int = 0, size_px: int | None = None) -> Portrait:
        """Imagines the face that fits a voice best. Arguments and errors as in `imagine_many`."""
        return self.imagine_many(voice, 1, seed=seed, size_px=size_px)[0]

    def imagine_many(
        self, voice: Recording | VoiceDescription, count: int, *, seed: int = 0, size_px: int | None = None
    ) -> list[Portrait]:
        """Imagines `count` different faces that fit a voice, the best first.

        voice: a recording, a voice card, or what `listen` returned. seed: of the other faces. size_px: of the picture's
        longer side; None: the composites' own. FaceVCError if the voice cannot be used.
        """
        heard = voice if isinstance(voice, VoiceDescription) else self.listen(voice)
        return list(self.imagine_numbered(heard, range(count), seed=seed, size_px=size_px))

    def imagine_numbered(
        self, voice: VoiceDescription, numbers: Collection[int], *, seed: int = 0, size_px: int | None = None
    ) -> Iterator[Portrait]:
        """Yields some of the faces of `imagine_many`, by their numbers from 0. The others cost hardly any time."""
        scores = keep_side(self.scorer.score(self.faces, voice).total, self.faces, voice.feminine)
        starts = draw_starts(scores, self.faces, max(numbers, default=-1) + 1, np.random.default_rng(seed))
        for number in numbers:
            yield self._finish(voice, starts[number], TIE if number == 0 else SAMPLE_TIE, size_px)

    def listen(self, voice: Recording) -> VoiceDescription:
        """Describes the voice of a recording or of a voice card. FaceVCError if it is silent or cannot be read."""
        if isinstance(voice, str | Path) and Path(voice).suffix.lower() == CARD_SUFFIX:
            return self._read_card(Path(voice))
        return listen(voice, self._voice_embedder)

    @property
    def model_name(self) -> str:
        return self.matcher.checkpoint.config.name

    def score(self, faces: FaceSet, voice: VoiceDescription) -> FitScores:
        """Scores any faces for a voice."""
        return self.scorer.score(faces, voice)

    def choose_from(self, pictures: CompositeSet) -> "Imaginer":
        """Returns an imaginer with the same networks that mixes pictures of people, without exaggeration."""
        other = copy(self)
        other.composites, other.faces, other.exaggeration = pictures, FaceSet.of(pictures), 1.0
        return other

    def draw_steps(self, portrait: Portrait, size_px: int | None = None) -> list[np.ndarray]:
        """Draws the way to a portrait: at most six pictures, from the start to the end."""
        shown = np.unique(np.linspace(0, len(portrait.path) - 1, MOST_STEPS_SHOWN).round().astype(int))
        return [self._draw(portrait.numbers, portrait.path[i], size_px).picture for i in shown]

    def _finish(self, voice: VoiceDescription, start: Start, tie: float, size_px: int | None) -> Portrait:
        """Climbs from the start, draws the end and has it judged.

        If no face is seen in it, the start is taken, or else the start's largest part alone.
        """
        faces = self.faces.select(start.numbers)
        path = climb(lambda weights: self.scorer.score(faces.mix(weights), voice).total, start.weights, tie)
        alone = np.eye(len(start.numbers))[int(np.argmax(start.weights))]
        for way in (path, path[:1], [alone]):
            drawn, mixed = self._draw(start.numbers, way[-1], size_px), faces.mix(way[-1][None])
            try:
                judged = self.judge.judge(drawn.picture, mixed.descriptors[0], voice.feminine)
            except NoFaceError:
                continue
            scores = self.scorer.score(mixed, voice).describe(0)
            return Portrait(drawn.picture, drawn.landmarks, start.numbers, tuple(way), scores, judged)
        raise FaceVCError("no face is seen in what was drawn for this voice. Pass another --seed or a larger --size.")

    def _draw(self, numbers: np.ndarray, weights: np.ndarray, size_px: int | None) -> MixedFace:
        whole = np.zeros(len(self.faces))
        whole[numbers] = weights
        return mix_composites(self.composites, whole, exaggeration=self.exaggeration, size_px=size_px)

    def _read_card(self, path: Path) -> VoiceDescription:
        sketch = sketch_voice(self._converter, self._converter.target_from_card(path))
        if sketch.dvector is None:
            raise FaceVCError(
                f"{path}: the model {self._converter.checkpoint.config.name!r} keeps no d-vector in its cards, which "
                "a face is chosen by. Pass a recording of the voice instead."
            )
        return VoiceDescription.of(sketch.dvector, float(np.log(sketch.f0_hz)))

    @cached_property
    def _converter(self) -> Converter:
        converts = self.checkpoint is not None and find_checkpoint_family(self.checkpoint).converts
        return Converter(self.checkpoint if converts else None, "griffin-lim", self.device)

    @cached_property
    def _voice_embedder(self) -> "VoiceEmbedder":
        from facevc_cli.voices.dvector import VoiceEmbedder

        return VoiceEmbedder("cpu")
