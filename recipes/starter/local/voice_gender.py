"""Train the voice-gender classifier of `facevc evaluate` and measure theta, both on a labelled speech table.

    python voice_gender.py DATA [--assets facevc_cli/assets] [--cache gender.npz]

DATA holds speech.csv (path, corpus, speaker, gender: male or female) and, optionally, pairs.csv (wav, speaker,
face_gender_estimate, face_gender_confidence), on which the classifier is measured and never trained. Speakers are split
in two: 60 % train, 40 % are held out for the accuracies and for theta. Writes voice_gender.safetensors,
voice_gender.json (sha256, accuracies, origin) and theta.json.
"""

import argparse
import collections
import csv
import hashlib
import json
import logging
import random
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation import threshold
from facevc_cli.evaluation.metrics import gender
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE, HeardVoice, listen
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.audio import load_audio
from facevc_cli.voices.dvector import VoiceEmbedder

SPEAKERS_A_GROUP = 160  # most speakers per corpus and gender
UTTERANCES_A_SPEAKER = 4
HELD_OUT = 0.4
RIDGE = 200.0  # best of 1 ... 3000 in five folds over the training speakers
log = logging.getLogger("voice_gender")


def choose(rows: list[dict[str, str]], rng: random.Random) -> list[dict[str, str]]:
    """Choose rows, balanced over corpora, genders and speakers. Each row gets `part` by speaker: train or held-out."""
    groups: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for row in rows:
        if row["gender"] in ("male", "female"):
            groups[row["corpus"], row["gender"]][row["speaker"]].append(row)
    chosen = []
    for key in sorted(groups):
        # speakers with several utterances come first, because theta needs pairs of one speaker
        speakers = sorted(groups[key], key=lambda s: (len(groups[key][s]) < 2, rng.random()))[:SPEAKERS_A_GROUP]
        rng.shuffle(speakers)
        for index, speaker in enumerate(speakers):
            part = "held-out" if index < HELD_OUT * len(speakers) else "train"
            utterances = rng.sample(groups[key][speaker], min(UTTERANCES_A_SPEAKER, len(groups[key][speaker])))
            chosen += [row | {"part": part} for row in utterances]
    return chosen


def hear_all(paths: list[Path], cache: Path | None) -> dict[str, HeardVoice]:
    """Hear each file. Answers are cached in `cache` (npz)."""
    known: dict[str, np.ndarray] = {}
    if cache and cache.exists():
        with np.load(cache) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["rows"], strict=True))
    embedder = VoiceEmbedder("cpu")
    for count, path in enumerate(paths):
        if str(path) not in known:
            try:
                known[str(path)] = listen(load_audio(path, JUDGE_RATE)[0], embedder).to_row()
            except FaceVCError as error:
                log.warning("left out: %s", error)
        if count % 250 == 0:
            log.info("%d of %d", count, len(paths))
    if cache:
        with atomic_path(cache) as temporary, open(temporary, "wb") as file:
            np.savez(file, keys=np.array(list(known)), rows=np.stack(list(known.values())))
    return {name: HeardVoice.from_row(row) for name, row in known.items()}


def measure_accuracies(
    judge: gender.GenderJudge, rows: list[dict[str, str]], heard: dict[str, HeardVoice]
) -> dict[str, str]:
    """Measure 'right/all = share' by corpus and gender, and overall."""
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for row in rows:
        right = judge.hear(heard[row["file"]]) == row["gender"]
        for key in (f"{row['corpus']} {row['gender']}", row["gender"], "all"):
            counts[key][0] += right
            counts[key][1] += 1
    return {key: f"{r}/{n} = {r / n:.3f}" for key, (r, n) in sorted(counts.items())}


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--assets", type=Path, default=Path("facevc_cli/assets"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open(arguments.data / "speech.csv", newline="", encoding="utf-8") as file:
        rows = choose(list(csv.DictReader(file)), random.Random(arguments.seed))
    for row in rows:
        row["file"] = str(arguments.data / row["path"])
    wild = []
    if (arguments.data / "pairs.csv").exists():
        with open(arguments.data / "pairs.csv", newline="", encoding="utf-8") as file:
            first = {
                row["speaker"]: row for row in csv.DictReader(file) if int(row["face_gender_confidence"] or 0) >= 99
            }
        wild = [
            {"file": str(arguments.data / r["wav"]), "gender": r["face_gender_estimate"], "corpus": "in the wild"}
            for r in first.values()
        ]
    heard = hear_all([Path(row["file"]) for row in rows + wild], arguments.cache)
    rows, wild = ([row for row in part if row["file"] in heard] for part in (rows, wild))
    train, test = ([row for row in rows if row["part"] == part] for part in ("train", "held-out"))
    sizes = collections.Counter((row["corpus"], row["gender"]) for row in train)
    # a corpus counts by the root of its size, and its genders equally, so that neither large nor tiny corpora dominate
    corpora = {corpus: sum(n for (c, _), n in sizes.items() if c == corpus) for corpus, _ in sizes}
    weights = np.array([corpora[r["corpus"]] ** 0.5 / sizes[r["corpus"], r["gender"]] for r in train])
    judge = gender.fit(
        np.stack([gender.make_features(heard[row["file"]]) for row in train]),
        np.array([row["gender"] == "female" for row in train], dtype=float),
        weights * len(train) / weights.sum(),
        ridge=RIDGE,
    )
    names = [f"{len({r['speaker'] for r in test if r['corpus'] == c})} of {c}" for c in sorted(corpora)]
    origin = (
        f"speech by {len({r['speaker'] for r in test})} held-out speakers ({', '.join(names)}), pairs within a corpus"
    )
    embeddings = np.stack([heard[row["file"]].embedding for row in test])
    theta = threshold.calibrate(
        embeddings, [r["speaker"] for r in test], f"Resemblyzer on {origin}", [r["corpus"] for r in test]
    )
    tensors = save({"weight": judge.weight.astype(np.float32), "bias": np.array([judge.bias], np.float32)})
    card = {
        "sha256": hashlib.sha256(tensors).hexdigest(),
        "trained_on": f"{len(train)} utterances of {len({r['speaker'] for r in train})} speakers: "
        + ", ".join(sorted(corpora)),
        "held_out": measure_accuracies(judge, test, heard),
        "held_out_f0_alone": measure_accuracies(gender.PitchGenderJudge(), test, heard),
        "measured_in_the_wild": measure_accuracies(judge, wild, heard),
        "in_the_wild_f0_alone": measure_accuracies(gender.PitchGenderJudge(), wild, heard),
    }
    arguments.assets.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (gender.ASSET, tensors),
        (gender.ASSET.replace(".safetensors", ".json"), json.dumps(card, indent=2).encode() + b"\n"),
        (threshold.ASSET, json.dumps(theta.to_json(), indent=2).encode() + b"\n"),
    ):
        with atomic_path(arguments.assets / name) as temporary:
            temporary.write_bytes(content)
    log.info("%s\n%s", json.dumps(card, indent=2), theta)
    for corpus in sorted(corpora):
        part = [i for i, r in enumerate(test) if r["corpus"] == corpus]
        log.info("%s: %s", corpus, threshold.calibrate(embeddings[part], [test[i]["speaker"] for i in part], corpus))


if __name__ == "__main__":
    main()
