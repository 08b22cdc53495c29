"""Judges a drawn face with networks that had no part in choosing it.

The choice knows what people labelled and what the embedder said of photographs. The judge looks at the drawn picture
itself, as at any photograph: dlib's detector must find a face in it, gender-v1 says whether it is a woman's, `fused`
reads its age, and dlib's descriptor says how far it is from the mixture that was meant.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from facevc_cli.faces.analyser import FaceAnalyser, FaceObservation
from facevc_cli.faces.crops import cut_level, find_landmarks
from facevc_cli.faces.embedders.fused import SMALL_CROP_PX, SMALL_PADDING, load_fused_network
from facevc_cli.faces.reading import DLIB_DIM, read_age

FEMALE = 0  # place among gender-v1's logits
MIDDLE = 0.5
FIGURES = ("looks_feminine", "looks_age", "distance", "fits_register")


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is seen in a drawn face.

    feminine: probability of a woman by gender-v1. age_years: by `fused`. descriptor: (128,) of dlib. distance: by
    dlib's descriptor, to the mixture that was meant. fits_register: whether the drawn face is on the voice's side.
    """

    feminine: float
    age_years: float
    descriptor: np.ndarray
    distance: float
    fits_register: bool

    def describe(self) -> dict[str, str]:
        """Returns the columns of the manifest."""
        words = (f"{self.feminine:.3f}", f"{self.age_years:.0f}", f"{self.distance:.3f}", str(int(self.fits_register)))
        return dict(zip(FIGURES, words, strict=True))


class PictureJudge:
    """dlib's detector and descriptor, gender-v1 and `fused`. Loaded at first use."""

    def judge(self, picture: np.ndarray, meant: np.ndarray, feminine: float) -> Judgement:
        """picture: (H, W, 3) uint8. meant: (128,) or longer, the mixture's descriptor. feminine: of the voice, 0 to 1.

        NoFaceError if no face is seen.
        """
        seen = self._analyser.analyse(picture)
        descriptor = seen.embedding[:DLIB_DIM]
        looks = self._see_gender(picture, seen.box)
        distance = float(np.linalg.norm(descriptor - meant[:DLIB_DIM]))
        fits = (looks > MIDDLE) == (feminine > MIDDLE)
        return Judgement(looks, float(read_age(seen.embedding)), descriptor, distance, fits)

    def look(self, picture: np.ndarray) -> FaceObservation:
        """Finds the face in any photograph, and describes it by the embedder fused. NoFaceError if no face is seen."""
        return self._analyser.analyse(picture)

    def _see_gender(self, picture: np.ndarray, box: np.ndarray) -> float:
        import torch

        crop = cut_level(picture, find_landmarks(picture, box), SMALL_CROP_PX, SMALL_PADDING)
        pixels = torch.from_numpy(np.ascontiguousarray(np.stack([crop, crop[:, ::-1]]).transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            logits = self._gender_network(pixels.float())[1].mean(0)
        return float(logits.softmax(-1)[FEMALE])

    @cached_property
    def _analyser(self) -> FaceAnalyser:
        return FaceAnalyser("dlib", "fused")

    @cached_property
    def _gender_network(self) -> Any:
        return load_fused_network().gender_v1
