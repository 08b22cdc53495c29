"""measure.py OUT TABLE --face PICTURE...: compare streams with the conversion of whole files.

Each recording is converted towards each picture as a file, and as a stream with the content encoder run on a window
and, if the checkpoint has one, with the causal one. OUT gets the waveforms and figures.csv, one line for each
conversion: mean distance of log-mels in speech, character errors if the table has a text and --longest-s cuts nothing
off, predicted MOS (DistillMOS), and seconds of work for a second of sound, by part.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from facevc_cli import Converter
from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.simulate import simulate_stream
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import parse_settings
from facevc_cli.core.settings import from_dict
from facevc_cli.dsp.mel import MelDefinition, compute_log_mel
from facevc_cli.evaluation.judges import choose_judges
from facevc_cli.evaluation.metrics.intelligibility import count_errors
from facevc_cli.families.base import Capability
from facevc_cli.files.audio import load_audio, resample, save_audio
from facevc_cli.files.tables import read_table, write_table

JUDGE_RATE = 16000
BLOCK_S = 0.01
SPEECH_QUANTILE = 0.3  # of the frames' level; quieter frames are pauses
FIGURES = ("distance", "mos")
PARTS = ("all", "features", "content", "decoder", "vocoder", "sound")


@dataclass(frozen=True)
class Conversion:
    wav: np.ndarray
    work: dict[str, float]  # seconds of the process for a second of sound, by part


def convert_file(converter: Converter, wav: np.ndarray, target: Target) -> Conversion:
    started = time.process_time()
    made = converter.speak(converter.analyse((wav, converter.rate)), target)
    return Conversion(made, {"all": (time.process_time() - started) / (len(wav) / converter.rate)})


def convert_stream(
    converter: Converter, wav: np.ndarray, target: Target, settings: StreamSettings, calibration: np.ndarray | None
) -> Conversion:
    stream = converter.stream(target, None, settings)
    stream.clock = time.process_time
    if calibration is not None:
        stream.calibrate((calibration, converter.rate))
    block = round(BLOCK_S * converter.rate)
    run = simulate_stream(stream, wav, converter.rate, block_samples=block, clock=time.process_time)
    seconds = len(wav) / converter.rate
    return Conversion(run.samples, {"all": run.busy} | {part: s / seconds for part, s in stream.timings.items()})


def measure_distance(made: np.ndarray, reference: np.ndarray, definition: MelDefinition) -> float:
    """Mean distance of two log-mels over speech, in their own unit."""
    a, b = (compute_log_mel(wav, definition) for wav in (made, reference))
    level = b.mean(1)
    return float(np.abs(a - b)[level > np.quantile(level, SPEECH_QUANTILE)].mean())


def summarise(rows: Sequence[Mapping[str, str | float]]) -> str:
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        some = [row for row in rows if row["kind"] == kind]
        errors, characters = (sum(float(row[name]) for row in some) for name in ("errors", "characters"))
        line = [f"{kind}:", f"cer {errors / characters:.3f}" if characters else "cer -"]
        for name in (*FIGURES, *PARTS):
            known = [float(row[name]) for row in some if row[name] != ""]
            line.append(f"{name} {np.mean(known):.3f}" if known else f"{name} -")
        lines.append("  ".join(line))
    return "\n".join(lines)


def measure_recording(
    row: Mapping[str, str],
    face: Path,
    converter: Converter,
    kinds: Mapping[str, StreamSettings | None],
    given: argparse.Namespace,
) -> Iterator[dict[str, str | float]]:
    """Yields a line for each kind of conversion. The recording itself calibrates, if asked."""
    target, rate = converter.target_from_face(face), converter.rate
    name = f"{row['utterance'].replace('/', '_')}__{face.parent.name}_{face.stem}"
    whole = load_audio(row["path"], rate)[0]
    wav = reference = whole[: round(given.longest_s * rate)]
    text = row.get("text") if len(wav) == len(whole) else None
    for kind, settings in kinds.items():
        if settings is None:
            made = convert_file(converter, wav, target)
            reference = made.wav
        else:
            made = convert_stream(converter, wav, target, settings, wav if given.calibrate else None)
        save_audio(given.out / kind / f"{name}.wav", made.wav, rate)
        line: dict[str, str | float] = {"kind": kind, "utterance": row["utterance"], "face": str(face)}
        line |= {"errors": 0, "characters": 0, "mos": ""}
        line["distance"] = round(measure_distance(made.wav, reference, converter.frontend.definition), 4)
        line |= {part: round(made.work.get(part, 0.0), 4) for part in PARTS}
        judged = resample(made.wav, rate, JUDGE_RATE)
        if given.judges.recogniser is not None and text:
            said = given.judges.recogniser.transcribe(judged).text
            line["errors"], line["characters"] = count_errors(text, said, "character")
        if given.judges.naturalness is not None:
            line["mos"] = round(given.judges.naturalness.score(judged), 4)
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("table", type=Path, help="columns utterance, and path or file; optional text")
    parser.add_argument("--face", type=Path, nargs="+", required=True, help="pictures whose voices are spoken in")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--vocoder")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--longest-s", type=float, default=10.0)
    parser.add_argument("--calibrate", action="store_true", help="the stream has heard the recording before")
    parser.add_argument("--judges", choices=("none", "all"), default="all")
    parser.add_argument("--settings", default="{}", help="of StreamSettings, as YAML: {step_frames: 8}")
    given = parser.parse_args()
    settings = from_dict(StreamSettings, parse_settings(given.settings, "--settings"), "--settings")
    converter = Converter(given.checkpoint, given.vocoder, "cpu")
    kinds = {"file": None, "window": replace(settings, causal=False)}
    if Capability.STREAM in converter.model.capabilities:
        kinds["causal"] = settings
    rows = [
        {**row, "path": str(given.table.parent / (row.get("path") or row["file"]))}
        for row in read_table(given.table, ("utterance",))[: given.count]
    ]
    texts, heard = any(row.get("text") for row in rows), given.judges == "all"
    notes: list[str] = []
    given.judges = choose_judges("resemblyzer", "auto" if heard and texts else "none", None, heard, False, notes)
    print("\n".join(notes))
    lines: list[dict[str, str | float]] = []
    for row, face in product(rows, given.face):
        lines += measure_recording(row, face, converter, kinds, given)
        write_table(given.out / "figures.csv", lines)
    print(summarise(lines))


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(f"measure.py: {error}")
