"""A small evaluation for the tests of the page: people with known embeddings, sounds and pictures, two systems and
more.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from facevc_cli.evaluation.evaluation import Evaluation, measure
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.evaluation.threshold import Threshold
from facevc_cli.manifest.conversion import Conversion

HOSTILE = '<script>alert("x")</script>&$a_b$ \u202e名'
PEOPLE = {"anna": "female", HOSTILE: "female", "carl": "male", "dave": "male"}
SOURCES = {"s1": ("female", 200.0), "s2": ("male", 110.0)}
F0_HZ = {"female": 210.0, "male": 120.0}
THETA = 0.7


def voice(*numbers: float, f0_hz: float) -> HeardVoice:
    vector = np.array(numbers, np.float32)
    return HeardVoice(vector / np.linalg.norm(vector), f0_hz, float(np.log(f0_hz)))


def sound(path: Path, f0_hz: float) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * f0_hz * np.arange(4000) / 16000), 16000)
    return str(path)


def rows(folder: Path, system: str = "ours", images: int = 2) -> tuple[list[Conversion], dict[str, HeardVoice]]:
    """Conversions of both sources to two images of each person, with two real recordings each; and what is heard in
    them.

    Person i's real voice is axis i; a conversion is that axis with a little of the common one: cosine 0.8 to the own
    real voice, 0 to all others', 0.36 to another person's conversion, 1 to the same person's.
    """
    found, voices = [], {}
    for i, (person, gender) in enumerate(PEOPLE.items()):
        axis = [float(i == j) for j in range(4)]
        references = tuple(sound(folder / f"real/{i}-{n}.wav", F0_HZ[gender]) for n in range(2))
        voices |= {name: voice(*axis, 0, f0_hz=F0_HZ[gender]) for name in references}
        for image in range(images):
            face = folder / f"faces/{i}-{image}.png"
            face.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (40 * i, 0, 0)).save(face)
            for name, (source_gender, f0_hz) in SOURCES.items():
                source = sound(folder / f"sources/{name}.wav", f0_hz)
                converted = sound(folder / f"{system}/{name}-{i}-{image}.wav", F0_HZ[gender])
                voices[source] = voice(0, 0, 0, 0, 1, f0_hz=f0_hz)
                voices[converted] = voice(*(0.8 * a for a in axis), 0.6, f0_hz=F0_HZ[gender])
                found.append(
                    Conversion(system, converted, name, person, str(face), source, gender, source_gender, references)
                )
    return found, voices


def evaluation(
    conversions: list[Conversion], voices: dict[str, HeardVoice], theta: float | None = THETA, **options: object
) -> Evaluation:
    threshold = None if theta is None else Threshold(theta, 0.05, 100, 2000, "made-up <people>")
    evidence = Evidence(voices, theta, PitchGenderJudge())
    return measure(conversions, evidence, threshold=threshold, **options)  # type: ignore[arg-type]


def full_evaluation(folder: Path, **options: object) -> Evaluation:
    """Two systems, a baseline, and a degradation that hears every person as the next one and loses some faces."""
    found, voices = rows(folder)
    plain = {(c.source_id, c.target, c.face): c for c in found}
    names = list(PEOPLE)

    def of_next(c: Conversion) -> str:
        person = names[(names.index(c.target) + 1) % len(names)]
        return next(other.converted for key, other in plain.items() if key[:2] == (c.source_id, person))

    shuffled = [
        replace(c, system="ours/shuffled-faces", baseline="shuffled-faces", base="ours", converted=of_next(c))
        for c in found
    ]
    unchanged = [replace(c, system="ours/source", baseline="source", base="ours", converted=c.source) for c in found]
    blurred = [
        replace(c, system="ours/blur=4", degradation="blur=4", base="ours", converted=of_next(c)) for c in found[:-2]
    ]
    theirs = [replace(c, system="theirs", base="theirs") for c in found if c.target != "dave"]
    lost = {"ours/blur=4": 2, "ours/dark=0.9": len(found)}
    return evaluation(found + shuffled + unchanged + blurred + theirs, voices, lost=lost, **options)
