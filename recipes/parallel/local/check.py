"""check.py OUT [--sample N] [--seed N]: check the generated speech.

All texts: are the recordings of equal length, are all files there?
A sample of texts: how far apart is the F0 of the timbres, as medians and frame by frame?
A sample of recordings, if the packages of facevc[eval] are installed: the recogniser's CER against the text, by
language and kind of prosody, and the MOS that DistillMOS predicts.
OUT/voices.h5, if stage 4 has run: how alike are the d-vectors within a timbre, within a gender, and across genders?
"""

import argparse
import csv
import json
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from make_speech import Row, sum_hours
from timbres import pairwise_cosines, summarise

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.evaluation.metrics.intelligibility import WhisperRecogniser, count_errors
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.audio import load_audio

HOP_S = 0.01
SHOWN_WORST = 5


def group_by(rows: list[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def check_lengths(out: Path, texts: dict[str, list[Row]]) -> None:
    uneven = [name for name, rows in texts.items() if len({row["seconds"] for row in rows}) > 1]
    missing = [row["file"] for rows in texts.values() for row in rows if not (out / row["file"]).is_file()]
    print(f"texts whose recordings differ in length: {len(uneven)}; files that are missing: {len(missing)}")
    if uneven or missing:
        sys.exit(
            f"{out / 'index.csv'}: expected equal lengths and all files. Look at {', '.join([*uneven, *missing][:5])}."
        )


def measure_pitch(out: Path, texts: list[list[Row]]) -> None:
    """F0 of the timbres of a text, frame by frame."""
    ratios, frames, voicing = [], [], []
    for rows in texts:
        tracks = []
        for row in rows:
            wav, rate = load_audio(out / row["file"])
            tracks.append(extract_f0(wav, rate, int(rate * HOP_S)))
        medians = [float(np.median(track[track > 0])) for track in tracks if (track > 0).any()]
        if len(medians) < 2:
            continue
        ratios.append(12 * np.log2(max(medians) / min(medians)))
        for track in tracks[1:]:
            both = (track > 0) & (tracks[0] > 0)
            voicing.append(float(((track > 0) == (tracks[0] > 0)).mean()))
            if both.any():
                frames.append(float(np.median(np.abs(12 * np.log2(track[both] / tracks[0][both])))))
    print(
        f"median F0 of a text's timbres, highest against lowest: {np.median(ratios):.2f} semitones "
        f"(95 %: {np.quantile(ratios, 0.95):.2f})"
    )
    print(
        f"F0 frame by frame: {np.median(frames):.2f} semitones apart (median), "
        f"voicing agrees in {np.mean(voicing):.1%} of the frames"
    )


def prosody_kind(row: Row) -> str:
    name = row["prosody"]
    return "blend" if "+" in name else "own" if name[0] in ("ab" if row["language"] == "en" else "e") else "foreign"


def character_error_rate(text: str, found: str) -> float:
    """Spaces and punctuation do not count, as in `facevc evaluate`."""
    errors, letters = count_errors(text, found, "character")
    return errors / max(1, letters)


def measure_words(out: Path, rows: list[Row]) -> None:
    recogniser = WhisperRecogniser()
    errors: dict[str, list[float]] = defaultdict(list)
    heard = []
    for row in rows:
        wav, _ = load_audio(out / row["file"], JUDGE_RATE)
        found = recogniser.transcribe(wav, row["language"]).text
        error = character_error_rate(row["text"], found)
        errors[f"{row['language']}, {prosody_kind(row)} prosody"].append(error)
        heard.append((error, row["utterance"], row["text"], found))
    for kind, values in sorted(errors.items()):
        print(f"CER, {kind}: mean {np.mean(values):.3f}, median {np.median(values):.3f} ({len(values)})")
    for error, name, text, found in sorted(heard, reverse=True)[:SHOWN_WORST]:
        print(f"  {error:.2f} {name}: {text!r} heard as {found!r}")


def measure_naturalness(out: Path, rows: list[Row], own: set[str]) -> None:
    judge = DistillMOS()
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        wav, _ = load_audio(out / row["file"], JUDGE_RATE)
        scores["Kokoro's voices" if row["timbre"] in own else "blends"].append(judge.score(wav))
    for kind, values in scores.items():
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        print(
            f"MOS, {kind}: mean {np.mean(values):.2f}, 5 % {low:.2f}, median {middle:.2f}, 95 % {high:.2f} "
            f"({len(values)})"
        )


def measure_voices(store: Path, rows: dict[str, Row], genders: dict[str, str]) -> None:
    with Store(store) as voices:
        vectors = dict(zip(voices.read_column("utterance"), voices.read_vectors(voices.vector_names()[0]), strict=True))
    by_timbre: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, vector in vectors.items():
        if name in rows:
            by_timbre[rows[name]["timbre"]].append(vector)
    within = [
        float(np.mean((np.stack(v) @ np.stack(v).T)[~np.eye(len(v), dtype=bool)]))
        for v in by_timbre.values()
        if len(v) > 1
    ]
    if within:
        print(f"d-vectors, two recordings of one timbre: {np.mean(within):.3f}")
    first = sorted(by_timbre)
    spread = summarise(pairwise_cosines(np.stack([by_timbre[t][0] for t in first]), [genders[t] for t in first]))
    for kind in ("within", "across"):
        if kind in spread:
            print(f"d-vectors, one recording each of {len(first)} timbres, {kind} genders: {json.dumps(spread[kind])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sample", type=int, default=60, help="recordings to judge")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    out, rng = given.out, random.Random(given.seed)
    with open(out / "index.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = group_by(rows, "text_id")
    timbres = json.loads((out / "timbres.json").read_text(encoding="utf-8"))
    used = len({row["timbre"] for row in rows})
    print(f"{len(rows)} recordings of {len(texts)} texts in {used} timbres, {sum_hours(rows):.2f} h")
    check_lengths(out, texts)
    measure_pitch(out, rng.sample(list(texts.values()), min(len(texts), given.sample // 4)))
    sample = rng.sample(rows, min(len(rows), given.sample))
    own = {t["timbre"] for t in timbres["timbres"] if list(t["weights"].values()) == [1.0]}
    for measure in (lambda: measure_words(out, sample), lambda: measure_naturalness(out, sample, own)):
        try:
            measure()
        except FaceVCError as error:
            print(f"left out: {error}")
    if (out / "voices.h5").is_file():
        measure_voices(
            out / "voices.h5", {r["utterance"]: r for r in rows}, {t["timbre"]: t["gender"] for t in timbres["timbres"]}
        )


if __name__ == "__main__":
    main()
