"""Voices and systems of which theory says how they must be measured: on the sphere, in the plane, and as sound."""

from collections.abc import Callable, Sequence
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.evaluation.bootstrap import Figure, Terms
from facevc_cli.evaluation.evaluation import Evaluation, measure
from facevc_cli.evaluation.figures import estimate_figures, measure_terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.gender import LinearGenderJudge, PitchGenderJudge
from facevc_cli.evaluation.metrics.intelligibility import Transcript
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.files.audio import save_audio
from facevc_cli.files.tables import write_table
from facevc_cli.manifest.conversion import Conversion

GENDERS = ("female", "male")
JUDGE = PitchGenderJudge()
RATE = 16000
NAN = float("nan")
AWAY = 0.8  # radians, mean angle between a conversion and the target's real voice

# The world worked out by hand: unit vectors of rational cosines.
X, Y, Z, XY, YX, YZ, ZY = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.8, 0), (0.8, 0.6, 0), (0, 0.6, 0.8), (0, 0.8, 0.6)
REFERENCES = {
    "ann": (("ann1", X, 200), ("ann2", XY, 240)),
    "bea": (("bea1", ZY, 180),),
    "cal": (("cal1", Z, 100), ("cal2", YZ, NAN)),
}
GENDER = {"ann": "female", "bea": "female", "cal": "male"}
SOURCES = {"s": ("female", X, 200, "one two three four"), "u": ("male", Y, 110, "")}
# source, target, image, voice, F0 in Hz, what the recogniser understands (None: nothing was recognised), predicted MOS
CONVERTED = [
    ("s", "ann", "1", X, 210, "one two three four", 4.0),
    ("s", "ann", "2", XY, 230, "one three four", 3.0),
    ("s", "ann", "3", YX, NAN, "", 3.5),
    ("s", "bea", "1", Y, 180, "One, two two THREE four!", 2.0),
    ("s", "bea", "2", YZ, 210, None, 3.0),
    ("s", "cal", "1", Z, 130, "one two three four", 4.5),
    ("u", "ann", "1", X, 220, "go", 3.0),
    ("u", "ann", "2", X, 260, "go on", 3.0),
    ("u", "bea", "1", YX, 150, "gone", 2.0),
    ("u", "cal", "1", ZY, 90, "", 2.0),
]

# Planted systems: eight women and six men at random on the sphere, four sources, three images.

DIM, THETA = 64, 0.12
COUNTS = {"female": 8, "male": 6}
IMAGES = 3

# Wrong gender labels: a voice is a * gender + b * person, all directions orthogonal, so that people of one gender have
# a cosine of a^2.
EACH = 4  # people of a gender
GENDERED = 0.3  # a^2

# Sound: four people and two sources of two formants each.
# F0, formants in Hz
PEOPLE = {"ada": (220, 500, 2600), "eva": (200, 900, 1700), "ole": (120, 350, 2000), "tom": (105, 700, 1300)}
SPEAKERS = {"low": (110, 500, 1500), "high": (230, 600, 2200)}


def make_voice(vector: Sequence[float] | np.ndarray, f0_hz: float = 150.0) -> HeardVoice:
    return HeardVoice(np.asarray(vector, np.float32), f0_hz, log(f0_hz) if f0_hz == f0_hz else log(150.0))


def compute_cosine(a: HeardVoice, b: HeardVoice) -> float:
    """Not the package's: the truth that it is held against."""
    x, y = a.embedding.astype(np.float64), b.embedding.astype(np.float64)
    return float((x * y).sum() / sqrt((x * x).sum() * (y * y).sum()))


def build_hand_world() -> tuple[list[Conversion], Evidence]:
    rows, voices, texts, scores = (
        [],
        {},
        {"s": Transcript("one two tree four", "en"), "u": Transcript("Go on.", "en")},
        {"s": 4.0, "u": 3.0},
    )
    for source, target, image, voice, f0_hz, text, score in CONVERTED:
        name = f"{source}-{target}-{image}"
        about, references = SOURCES[source], tuple(name for name, *_ in REFERENCES[target])
        rows.append(
            Conversion("ours", name, source, target, image, source, GENDER[target], about[0], references, about[3])
        )
        voices[name], scores[name] = make_voice(voice, f0_hz), score
        if text is not None:
            texts[name] = Transcript(text, "en")
    voices |= {name: make_voice(vector, f0_hz) for name, (_, vector, f0_hz, _) in SOURCES.items()}
    voices |= {name: make_voice(vector, f0_hz) for known in REFERENCES.values() for name, vector, f0_hz in known}
    judge = LinearGenderJudge(np.array([0.0, 0.0, -1.0, 0.0]), 0.5)  # a woman below z = 0.5
    return rows, Evidence(voices, 0.7, judge, texts, scores)


def draw_direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=DIM)
    return vector / np.linalg.norm(vector)


class Planted:
    """Real voices of targets (three utterances each) and of sources, and systems that say what comes out."""

    def __init__(self, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.rows: list[Conversion] = []
        self.voices: dict[str, HeardVoice] = {}
        self.targets = {f"{g[0]}{i}": g for g, count in COUNTS.items() for i in range(count)}
        self.sources = {f"source{i}": GENDERS[i % 2] for i in range(4)}
        for target, gender in self.targets.items():
            own = draw_direction(rng)
            for k in range(3):
                near = own + 0.3 * draw_direction(rng)
                self.voices[f"{target}-r{k}"] = make_voice(near / np.linalg.norm(near), self.pitch(gender) + 5 * k)
        self.voices |= {
            name: make_voice(draw_direction(rng), self.pitch(gender)) for name, gender in self.sources.items()
        }

    @staticmethod
    def pitch(gender: str) -> float:
        return 220.0 if gender == "female" else 110.0

    def add(self, system: str, out: Callable[[str, str], HeardVoice]) -> None:
        for source, source_gender in self.sources.items():
            for target, gender in self.targets.items():
                for image in range(IMAGES):
                    name = f"{system}/{source}-{target}-{image}"
                    self.voices[name] = out(source, target)
                    references = tuple(f"{target}-r{k}" for k in range(3))
                    self.rows.append(
                        Conversion(system, name, source, target, str(image), source, gender, source_gender, references)
                    )

    def evaluate(self) -> Evaluation:
        return measure(self.rows, Evidence(self.voices, THETA, PitchGenderJudge()))


def measure_gendered(swapped: int = 0, failing: int = 0) -> dict[str, Figure]:
    """Figures of a system that says the target's voice, `failing` of each gender in the other gender's; `swapped` of
    each gender mislabelled.
    """
    rows, voices = [], {}
    for number in range(2 * EACH):
        sign, place = (1, number) if number < EACH else (-1, number - EACH)
        vector = np.zeros(1 + 2 * EACH)
        vector[0], vector[1 + number] = sign * sqrt(GENDERED), sqrt(1 - GENDERED)
        voices[f"r{number}"] = make_voice(vector)
        label = GENDERS[(sign < 0) != (place < swapped)]
        for source in "su":
            name = f"{source}-{number}"
            voices[name] = (
                make_voice(vector * np.where(np.arange(len(vector)) == 0, -1, 1))
                if place >= EACH - failing
                else voices[f"r{number}"]
            )
            rows.append(Conversion("ours", name, source, f"t{number}", "f", gender=label, references=(f"r{number}",)))
    judge = LinearGenderJudge(np.eye(2 + 2 * EACH)[0], 0.0)
    return estimate_figures(measure_terms(rows, Evidence(voices, 0.7, judge)))


def voice_at(angle: float) -> HeardVoice:
    return make_voice((np.cos(angle), np.sin(angle)))


def measure_consistency(angles: np.ndarray, system: str = "ours") -> Terms:
    """angles: (targets, conversions), radians from AWAY."""
    rows, voices = [], {"r": voice_at(-AWAY)}
    for (target, k), angle in np.ndenumerate(angles):
        voices[f"{target}-{k}"] = voice_at(angle)
        rows.append(Conversion(system, f"{target}-{k}", f"s{k}", str(target), "f", references=("r",)))
    return measure_terms(rows, Evidence(voices, 0.7, JUDGE))["consistency"]


def measure_sdo(angles: np.ndarray, system: str = "ours") -> Terms:
    """angles: (targets, images), of one source."""
    rows = [Conversion(system, f"{target}-{k}", "s", str(target), str(k)) for target, k in np.ndindex(*angles.shape)]
    voices = {f"{target}-{k}": voice_at(angle) for (target, k), angle in np.ndenumerate(angles)}
    return measure_terms(rows, Evidence(voices, 0.7, JUDGE))["SDO"]


def draw_angles(rng: np.random.Generator, shape: tuple[int, int], between: float, within: float) -> np.ndarray:
    """(targets, conversions): each person's own angle, and what is added in each conversion."""
    return rng.normal(0, between, (shape[0], 1)) + rng.normal(0, within, shape)


class EnvelopeEmbedder:
    """The spectrum's envelope in 300 Hz bands up to 3.9 kHz, without its mean; counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, wav: np.ndarray) -> np.ndarray:
        self.calls += 1
        bands = np.log(np.abs(np.fft.rfft(wav, RATE))[:3900].reshape(13, 300).mean(1) + 1e-3)
        bands -= bands.mean()
        return (bands / np.linalg.norm(bands)).astype(np.float32)


def vowel(f0_hz: float, first_hz: float, second_hz: float, take: int) -> np.ndarray:
    """(n,) float32, a second: harmonics under two formants, the pitch moving by three percent, other phases in every
    take.
    """
    time = np.arange(RATE) / RATE
    phase = 2 * np.pi * np.cumsum(f0_hz * (1 + 0.03 * np.sin(2 * np.pi * (2 + take) * time))) / RATE
    wav = np.zeros(RATE)
    for k in range(1, int(3900 / f0_hz)):
        level = sum(1 / (1 + ((k * f0_hz - formant) / 120) ** 2) for formant in (first_hz, second_hz))
        wav += (level + 0.01) * np.sin(k * phase + take * k)
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def plant_sounds(folder: Path) -> None:
    """A folder with a manifest: copies of the target's recordings beside the source itself as baseline, and copies of
    the source's.
    """
    for name, voice in (PEOPLE | SPEAKERS).items():
        for take in (1, 2):
            save_audio(folder / f"{name}{take}.wav", vowel(*voice, take), RATE)
    rows = []
    for system, baseline in (("perfect", ""), ("perfect", "source"), ("copies", "")):
        (folder / system).mkdir(exist_ok=True)
        for source in SPEAKERS:
            for target in PEOPLE:
                for image in (1, 2):
                    name, taken = (
                        f"{system}/{source}-{target}-{image}.wav",
                        f"{target}{image}.wav" if system == "perfect" else f"{source}1.wav",
                    )
                    if baseline:
                        name = f"{source}1.wav"
                    else:
                        (folder / name).write_bytes((folder / taken).read_bytes())
                    rows.append(
                        {
                            "system": system,
                            "baseline": baseline,
                            "converted": name,
                            "source": f"{source}1.wav",
                            "target": target,
                            "face": f"{target}{image}.png",
                            "gender": "f" if target in ("ada", "eva") else "m",
                            "references": f"{target}1.wav|{target}2.wav",
                            "transcript": "",
                        }
                    )
    write_table(folder / "manifest.csv", rows)


def conversion(source: str, target: str, face: str, **more: Any) -> Conversion:
    return Conversion("ours", f"{source}-{target}-{face}", source, target, face, source=source, **more)
