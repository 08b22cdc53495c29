"""variety.py SAMPLES PAIRS.csv: how far apart the faces and the voices of `facevc sample` are, beside real people's.

SAMPLES is the folder of `facevc sample`. PAIRS.csv has real people, each with a face and a recording, as `imagined.py
list` writes it. Prints the mean distance of two faces by dlib's descriptor, and the mean cosine of two voices by their
d-vectors, with 95 % intervals over people, for all and within each gender.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.portraits.figures import measure_variety, measure_voice_spread
from facevc_cli.faces.analyser import FaceAnalyser
from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.files.audio import load_audio
from facevc_cli.files.image import load_image
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

LINE_SUFFIX = ".wav"


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def describe_faces(paths: list[Path], women: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns dlib's descriptors (n, 128) of the faces that are found, and which are women's."""
    analyser, found = FaceAnalyser("dlib", "dlib"), {}
    for i, path in enumerate(paths):
        try:
            found[i] = analyser.analyse(load_image(path)).embedding[:DLIB_DIM]
        except FaceVCError as error:
            print(f"{path.name}: {error}")
    return np.stack(list(found.values())), women[list(found)]


def embed(embedder: VoiceEmbedder, paths: list[Path]) -> np.ndarray:
    return np.stack([embedder.embed(load_audio(path, VOICE_RATE)[0]) for path in paths])


def show(what: str, values: np.ndarray, women: np.ndarray, measure: Callable[..., dict[str, Figure]]) -> None:
    """Prints a figure for everyone, and within each gender."""
    found = []
    for name, chosen in (("all", np.ones(len(women), bool)), ("women", women), ("men", ~women)):
        part = values[chosen]
        (figure,) = measure(part, np.arange(len(part))).values()
        found.append(f"{name} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    print(f"{what:34} {'; '.join(found)}", flush=True)


def main(samples: Path, pairs: Path) -> None:
    drawn, real = read_rows(samples / "portraits.csv"), read_rows(pairs)
    drawn_women = np.array([float(row["feminine"]) > 0.5 for row in drawn])
    real_women = np.array([row["gender"] == "female" for row in real])
    print(f"{len(drawn)} sampled, {drawn_women.sum()} of them women; {len(real)} real, {real_women.sum()} women")
    show("faces, sampled", *describe_faces([samples / row["portrait"] for row in drawn], drawn_women), measure_variety)
    show("faces, real", *describe_faces([pairs.parent / row["face"] for row in real], real_women), measure_variety)
    embedder, converter = VoiceEmbedder(), Converter(None, "griffin-lim", "cpu")
    cards = [samples / row["voice"] for row in drawn]
    inside = np.stack([converter.target_from_card(card).speaker[0].float().numpy() for card in cards])
    show("voices, sampled, as in the cards", inside, drawn_women, measure_voice_spread)
    lines = [card.with_suffix(LINE_SUFFIX) for card in cards]
    if all(line.is_file() for line in lines):
        show("voices, sampled, as heard", embed(embedder, lines), drawn_women, measure_voice_spread)
    show(
        "voices, real", embed(embedder, [pairs.parent / row["voice"] for row in real]), real_women, measure_voice_spread
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("pairs", type=Path)
    given = parser.parse_args()
    main(given.samples, given.pairs)
