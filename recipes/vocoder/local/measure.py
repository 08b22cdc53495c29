"""measure.py LIGHT OUT TABLE...: compare a light vocoder with HiFi-GAN, on recordings that trained nothing here.

Both speak the same log-mels: those of the recordings, and with --pictures those of conversions of them. OUT gets the
waveforms, figures.csv with one line for each, and summary.csv: predicted MOS (DistillMOS, DNSMOS), character errors,
periodic sound in pauses, and seconds of work for a second of sound.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from buzz import measure_buzz
from decode import LogMelKeeper
from pieces import MEL, choose_split
from tables import read_held_out
from torch import Tensor

from facevc_cli import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import compute_log_mel
from facevc_cli.evaluation.judges import Judges, choose_judges
from facevc_cli.evaluation.metrics.intelligibility import count_errors
from facevc_cli.files.audio import load_audio, resample, save_audio
from facevc_cli.vocoders import Vocoder, vocode_long
from facevc_cli.vocoders.hifigan import load_universal
from facevc_cli.vocoders.light import load_light

JUDGE_RATE = 16000
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
FIGURES = ("mos", "dnsmos", "errors", "characters", "buzz_db", "buzzing", "work")


def speak_timed(vocoder: Vocoder, log_mel: Tensor) -> tuple[np.ndarray, float]:
    """The waveform (n,), and seconds of the process for a second of it. Other processes do not count."""
    started = time.process_time()
    wav = vocode_long(vocoder, log_mel).numpy()
    return wav, (time.process_time() - started) / (len(wav) / MEL.rate)


def list_log_mels(recordings: list[dict[str, str]], pictures: list[Path]) -> Iterator[tuple[str, str, Tensor]]:
    """Yields (kind, name, log-mel (T, 80)): copies, then conversions."""
    frontend = Frontend.standard(MEL.name)
    for row in recordings:
        wav = frontend.prepare(load_audio(row["path"], MEL.rate)[0])
        yield "copy", row["utterance"], torch.from_numpy(compute_log_mel(wav, MEL))
    if not pictures:
        return
    converter, keeper = Converter(None, "griffin-lim", "cpu"), LogMelKeeper()
    converter.vocoder = keeper
    for number, row in enumerate(recordings):
        picture = pictures[number % len(pictures)]
        converter.convert(row["path"], face=picture)
        yield "conversion", f"{row['utterance']}__{picture.stem}", keeper.kept


def hear_words(judges: Judges, path: str) -> str:
    return judges.recogniser.transcribe(load_audio(path, JUDGE_RATE)[0]).text if judges.recogniser is not None else ""


def summarise(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The mean of each figure by kind and vocoder. Character errors are weighted by the texts' lengths."""
    found: list[dict[str, object]] = []
    for kind, vocoder in dict.fromkeys((row["kind"], row["vocoder"]) for row in rows):
        some = [row for row in rows if (row["kind"], row["vocoder"]) == (kind, vocoder)]
        line: dict[str, object] = {"kind": kind, "vocoder": vocoder, "count": len(some)}
        for name in FIGURES:
            values = [float(str(row[name])) for row in some if row[name] != ""]
            line[name] = round(float(np.mean(values)), 4) if values else ""
        total = sum(float(str(row["characters"] or 0)) for row in some)
        line["cer"] = round(sum(float(str(row["errors"] or 0)) for row in some) / total, 4) if total else ""
        found.append({k: v for k, v in line.items() if k not in ("errors", "characters")})
    return found


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("light", type=Path, help="the vocoder's folder")
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", type=Path, nargs="+", help="columns utterance, and path or file; optional text")
    parser.add_argument("--splits", type=Path, help="utterance or speaker, split; those of the split test are used")
    parser.add_argument("--pictures", type=Path, help="a folder of faces; conversions are measured too")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--judges", choices=("none", "all"), default="all")
    given = parser.parse_args()
    recordings = read_held_out(given.tables, choose_split, given.splits)[: given.count]
    pictures = sorted(p for p in given.pictures.iterdir() if p.suffix.lower() in PICTURES) if given.pictures else []
    vocoders: dict[str, Vocoder] = {"hifigan": load_universal(), "light": load_light(given.light, MEL.name)}
    notes: list[str] = []
    heard = given.judges == "all"
    judges = choose_judges("resemblyzer", "auto" if heard else "none", None, heard, False, notes)
    print("\n".join(notes))
    texts = {row["utterance"]: row.get("text") or hear_words(judges, row["path"]) for row in recordings}
    rows: list[dict[str, object]] = []
    for kind, name, log_mel in list_log_mels(recordings, pictures):
        reference = np.zeros(0)
        for vocoder in vocoders:  # HiFi-GAN first: its pauses are the reference
            wav, work = speak_timed(vocoders[vocoder], log_mel)
            reference = wav if vocoder == "hifigan" else reference
            save_audio(given.out / kind / vocoder / f"{name}.wav", wav, MEL.rate)
            judged, buzz = resample(wav, MEL.rate, JUDGE_RATE), measure_buzz(wav, reference, MEL.rate)
            row: dict[str, object] = {"kind": kind, "vocoder": vocoder, "name": name, **dict.fromkeys(FIGURES, "")}
            row["work"] = round(work, 4)
            if buzz.pause_frames:
                row |= {"buzz_db": round(buzz.level_db, 1), "buzzing": round(buzz.share, 4)}
            if judges.naturalness is not None:
                row["mos"] = round(judges.naturalness.score(judged), 4)
            if judges.dnsmos is not None:
                row["dnsmos"] = round(judges.dnsmos.score(judged), 4)
            if judges.recogniser is not None:
                said = judges.recogniser.transcribe(judged).text
                row["errors"], row["characters"] = count_errors(texts[name.partition("__")[0]], said, "character")
            rows.append(row)
        write_table(given.out / "figures.csv", rows)
    for line in (found := summarise(rows)):
        print("  ".join(f"{key} {value}" for key, value in line.items() if value != ""))
    write_table(given.out / "summary.csv", found)


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(str(error))
