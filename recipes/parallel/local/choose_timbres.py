"""choose_timbres.py OUT [--count N] [--speech TABLE.csv] [--push P] [--seed N]: timbres as different as real speakers.

Blends of Kokoro's voices are pushed outwards (timbres.py). At each of several pushes a few blends speak three
seconds, and Resemblyzer's d-vectors say how alike they are. The chosen push is the one at which the mean cosine of
two blends of one gender is that of two real speakers. The real speakers come from --speech, a table with path
(relative to it), speaker, gender and seconds, and corpus if it has several. Without --speech conf/real_speakers.json
has the figures of LibriSpeech. Writes OUT/timbres.json: all timbres (Kokoro's voices, then the blends), the push, and
what was measured.
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
from timbres import choose_push, describe, draw_blends, gender_of, pairwise_cosines, summarise

from facevc_cli.features.voice import VOICE_RATE, VoiceEmbedder
from facevc_cli.io.audio import load_audio, resample

CONF = Path(__file__).parent.parent / "conf"
RATE_HZ = 24000
PUSHES = (1.0, 1.3, 1.6)
HEARD_S, SKIPPED_S = 3.0, 0.5  # of a real recording: as long as a measured sentence
LETTERS = (42, 56)  # of a measured sentence: about three seconds
REAL_SPEAKERS = 60
CORPUS = "librispeech"  # if the table has it: one corpus, so that rooms and microphones do not count as voices


def hear_real_speakers(table: Path, seed: int) -> dict[str, dict[str, float]]:
    """The spread of real speakers' d-vectors, three seconds of each."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["gender"] in ("female", "male") and float(row["seconds"]) > HEARD_S + SKIPPED_S
        ]
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


def hear_timbres(
    speaker: KokoroSpeaker, timbres: list[dict[str, float]], genders: list[str], seed: int
) -> dict[str, dict[str, float]]:
    """The spread of timbres' d-vectors. Each says another sentence with the prosody of another voice of its gender."""
    sentences = [text for text in read_sentences(CONF / "english.txt") if LETTERS[0] <= len(text) <= LETTERS[1]]
    english = [name for name in sorted(speaker.voices) if name[0] in "ab"]
    embedder, vectors = VoiceEmbedder(), []
    for number, (timbre, gender) in enumerate(zip(timbres, genders, strict=True)):
        rng = random.Random(f"{seed}/measure/{number}")
        prosody = rng.choice([name for name in english if gender_of(name) == gender])
        wav = speaker.speak(speaker.phonemise(rng.choice(sentences), "en"), timbre, {prosody: 1.0})
        vectors.append(embedder.embed(resample(wav, RATE_HZ, VOICE_RATE)))
    return summarise(pairwise_cosines(np.stack(vectors), genders))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=200, help="blends, beside Kokoro's own voices")
    parser.add_argument("--heard", type=int, default=24, help="blends that speak at each push")
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--push", type=float, help="take this push and measure nothing")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    speaker = KokoroSpeaker(given.out / "packages")
    measured: dict[str, object] = {}
    push = given.push
    if push is None:
        real = (
            hear_real_speakers(given.speech, given.seed)
            if given.speech
            else json.loads((CONF / "real_speakers.json").read_text())
        )
        measured["real speakers"] = real
        print(f"real speakers: {real['within']['mean']} within a gender, {real['across']['mean']} across")
        genders = [("female", "male")[number % 2] for number in range(given.heard)]
        means = []
        for tried in PUSHES:
            spread = hear_timbres(
                speaker, draw_blends(speaker.voices, given.heard, tried, given.seed), genders, given.seed
            )
            measured[f"push {tried}"] = spread
            means.append(spread["within"]["mean"])
            print(
                f"push {tried}: {spread['within']['mean']} within a gender, {spread['across']['mean']} across",
                flush=True,
            )
        push = choose_push(list(PUSHES), means, real["within"]["mean"])
    print(f"push: {push}")
    own = [{name: 1.0} for name in sorted(speaker.voices)]
    timbres = [
        describe(number, weights)
        for number, weights in enumerate(own + draw_blends(speaker.voices, given.count, push, given.seed))
    ]
    out = given.out / "timbres.json"
    temporary = out.with_suffix(".tmp")
    temporary.write_text(
        json.dumps({"push": push, "seed": given.seed, "cosines": measured, "timbres": timbres}, indent=1),
        encoding="utf-8",
    )
    os.replace(temporary, out)
    print(f"{len(timbres)} timbres: {out}")


if __name__ == "__main__":
    main()
