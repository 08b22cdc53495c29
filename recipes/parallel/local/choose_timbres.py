"""choose_timbres.py OUT [--count N] [--speech TABLE.csv] [--least-mos M] [--seed N]: choose the timbres.

The pool holds Kokoro's voices and blends of them, pushed outwards by different amounts (timbres.py). It is twice as
large as needed. Each timbre speaks about three seconds. Timbres whose predicted MOS (DistillMOS, in facevc[eval]) is
too low are left out, because some that are far out sound broken. From the rest the script keeps timbres whose
d-vectors (Resemblyzer) differ within a gender as much as those of real speakers. The real speakers come from --speech,
a table with path (relative to it), speaker, gender and seconds, and corpus if there are several. Without --speech,
conf/real_speakers.json has the figures of LibriSpeech. The script writes OUT/pool.jsonl (measurements; a stopped run
continues with it) and OUT/timbres.json.
"""

import argparse
import csv
import json
import os
import random
import sys
from pathlib import Path

import numpy as np
from make_speech import KokoroSpeaker
from texts import read_sentences
from timbres import Weights, draw_blends, gender_of, pairwise_cosines, select_spread, summarise

from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

CONF = Path(__file__).parent.parent / "conf"
RATE_HZ = 24000
HEARD_S, SKIPPED_S = 3.0, 0.5  # of a real recording; as long as a measured sentence
LETTERS = (42, 56)  # of a measured sentence: about three seconds
REAL_SPEAKERS = 60
CORPUS = "librispeech"  # used alone if the table has it, so that rooms and microphones do not count as voices
POOL = 2.0  # pool size, as a multiple of the wanted timbres

Summary = dict[str, dict[str, float]]


def hear_real_speakers(table: Path, seed: int) -> Summary:
    """Measure the spread of real speakers' d-vectors, from three seconds of each."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["gender"] in ("female", "male")]
    rows = [row for row in rows if float(row["seconds"]) > HEARD_S + SKIPPED_S]
    rows = [row for row in rows if row.get("corpus") == CORPUS] or rows
    first_of: dict[str, dict[str, str]] = {}
    for row in rows:
        first_of.setdefault(row["speaker"], row)
    chosen = random.Random(seed).sample(sorted(first_of), min(REAL_SPEAKERS, len(first_of)))
    if len(chosen) < 4:
        sys.exit(
            f"{table}: expected four speakers or more with a gender and {HEARD_S + SKIPPED_S} s, found {len(chosen)}."
        )
    embedder, vectors = VoiceEmbedder(), []
    for speaker in chosen:
        wav, rate = load_audio(table.parent / first_of[speaker]["path"], VOICE_RATE)
        vectors.append(embedder.embed(wav[int(SKIPPED_S * rate) : int((SKIPPED_S + HEARD_S) * rate)]))
    return summarise(pairwise_cosines(np.stack(vectors), [first_of[speaker]["gender"] for speaker in chosen]))


def draw_pool(voices: dict[str, np.ndarray], count: int, seed: int) -> list[dict]:
    """Draw the timbres of the pool: all voices, then blends."""
    drawn: list[tuple[float, Weights]] = [(0.0, {name: 1.0}) for name in sorted(voices)]
    drawn += draw_blends(voices, max(0, round(POOL * count) - len(drawn)), seed)
    return [
        {
            "timbre": f"t{number:03d}",
            "gender": gender_of(max(weights, key=lambda name: weights[name])),
            "push": push,  # 0 for a voice itself
            "weights": {name: round(weight, 5) for name, weight in weights.items()},
        }
        for number, (push, weights) in enumerate(drawn)
    ]


def measure_pool(speaker: KokoroSpeaker, pool: list[dict], path: Path, with_mos: bool, seed: int) -> list[dict]:
    """Measure d-vectors and MOS of the pool.

    Each timbre says another sentence, with the prosody of a voice of its gender.
    """
    sentences = [text for text in read_sentences(CONF / "english.txt") if LETTERS[0] <= len(text) <= LETTERS[1]]
    english = [name for name in sorted(speaker.voices) if name[0] in "ab"]
    embedder, judge = VoiceEmbedder(), DistillMOS() if with_mos else None
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    known = {row["timbre"]: row for line in lines if line.endswith("}") for row in [json.loads(line)]}
    measured = []
    for timbre in pool:
        row = known.get(timbre["timbre"], {})
        if any(row.get(key) != timbre[key] for key in timbre) or (with_mos and row["mos"] is None):
            rng = random.Random(f"{seed}/measure/{timbre['timbre']}")
            prosody = rng.choice([name for name in english if gender_of(name) == timbre["gender"]])
            phonemes = speaker.phonemise(rng.choice(sentences), "en")
            wav = resample(speaker.speak(phonemes, timbre["weights"], {prosody: 1.0}), RATE_HZ, VOICE_RATE)
            dvector = [round(float(number), 5) for number in embedder.embed(wav)]
            row = {**timbre, "mos": round(judge.score(wav), 2) if judge else None, "dvector": dvector}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{row['timbre']}: push {row['push']}, MOS {row['mos']}", flush=True)
        measured.append(row)
    return measured


def spread_of(rows: list[dict]) -> Summary:
    return summarise(pairwise_cosines(stack_dvectors(rows), [row["gender"] for row in rows]))


def stack_dvectors(rows: list[dict]) -> np.ndarray:
    vectors = np.array([row["dvector"] for row in rows])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def describe(name: str, rows: list[dict]) -> None:
    if len(rows) > 1:
        spread, scores = spread_of(rows), [row["mos"] for row in rows if row["mos"] is not None]
        mos = f", MOS {np.mean(scores):.2f}, lowest tenth {np.quantile(scores, 0.1):.2f}" if scores else ""
        cosines = ", ".join(f"{spread[kind]['mean']} {kind} genders" for kind in ("within", "across") if kind in spread)
        print(f"{name} ({len(rows)}): {cosines}{mos}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=128, help="timbres to keep")
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--least-mos", type=float, default=3.8, help="0 keeps all and needs no DistillMOS")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    real = json.loads((CONF / "real_speakers.json").read_text(encoding="utf-8"))
    if given.speech:
        real = hear_real_speakers(given.speech, given.seed)
    print(
        f"real speakers: {real['within']['mean']} within genders, {real['across']['mean']} across genders", flush=True
    )
    speaker = KokoroSpeaker(given.out / "packages")
    pool = draw_pool(speaker.voices, given.count, given.seed)
    rows = measure_pool(speaker, pool, given.out / "pool.jsonl", given.least_mos > 0, given.seed)
    fit = [row for row in rows if not given.least_mos or row["mos"] >= given.least_mos]
    kept = select_spread(stack_dvectors(fit), [row["gender"] for row in fit], given.count, real["within"]["mean"])
    chosen = [fit[number] for number in kept]
    describe("Kokoro's voices", [row for row in rows if not row["push"]])
    for low, high in ((0.8, 1.0), (1.0, 1.2), (1.2, 1.41)):
        describe(f"blends pushed by {low} to {high:.1f}", [row for row in rows if low <= row["push"] < high])
    describe(f"with a MOS of {given.least_mos} or more", fit)
    describe("chosen", chosen)
    timbres = [{key: value for key, value in row.items() if key != "dvector"} for row in chosen]
    content = {"seed": given.seed, "cosines": {"real speakers": real, "chosen": spread_of(chosen)}, "timbres": timbres}
    temporary = given.out / "timbres.json.tmp"
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(temporary, given.out / "timbres.json")
    print(f"{len(timbres)} timbres: {given.out / 'timbres.json'}")


if __name__ == "__main__":
    main()
