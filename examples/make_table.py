"""Converts the examples again into examples/converted/ and prints README's table of what went in and out.

python examples/make_table.py
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.files.audio import load_audio

HERE = Path(__file__).parent
OUT = HERE / "converted"
PAIRS = (
    ("speech.wav", "face.jpg"),
    ("speech.wav", "face_man.jpg"),
    ("speech_man.flac", "face_man.jpg"),
    ("speech_man.flac", "face_woman.jpg"),
    ("speech_woman.flac", "face_man.jpg"),
    ("speech_woman.flac", "face_woman.jpg"),
)


def median_f0_hz(path: Path) -> float:
    wav, rate = load_audio(path)
    f0 = extract_f0(wav, rate, rate // 100)
    return float(np.median(f0[f0 > 0]))


def main() -> None:
    OUT.mkdir(exist_ok=True)
    rows = ["| utterance | its pitch | face | result | pitch of the result |", "| --- | --- | --- | --- | --- |"]
    for source, face in PAIRS:
        out = OUT / f"{Path(source).stem}__{Path(face).stem}.flac"
        command = [
            "facevc",
            "convert",
            str(HERE / source),
            "--face",
            str(HERE / face),
            "-o",
            str(out),
            "--overwrite",
            "--quiet",
        ]
        subprocess.run([sys.executable, "-m", "facevc_cli", *command[1:]], check=True)
        soundfile.info(out)  # whole
        picture = f'<img src="examples/{face}" width="72" alt="{Path(face).stem}">'
        before, after = (f"{median_f0_hz(path):.0f} Hz" for path in (HERE / source, out))
        rows.append(
            f"| [{source}](examples/{source}) | {before} | {picture} | [{out.name}](examples/converted/{out.name}) | "
            f"{after} |"
        )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
