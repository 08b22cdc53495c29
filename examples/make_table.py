"""Makes examples/converted/ and examples/spoken/ again, and prints README's table of what went in and out.

python examples/make_table.py

It needs the extra [speak].
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.files.audio import load_audio

HERE = Path(__file__).parent
CONVERTED = (
    ("speech.wav", "face.jpg"),
    ("speech.wav", "face_man.jpg"),
    ("speech_man.flac", "face_man.jpg"),
    ("speech_man.flac", "face_woman.jpg"),
    ("speech_woman.flac", "face_man.jpg"),
    ("speech_woman.flac", "face_woman.jpg"),
)
TEXT = "Hello. You typed this, and I say it. The boat leaves at half past nine."
SPOKEN = ("face_woman.jpg", "face_man.jpg")


def median_f0_hz(path: Path) -> float:
    wav, rate = load_audio(path)
    f0 = extract_f0(wav, rate, rate // 100)
    return float(np.median(f0[f0 > 0]))


def run(command: str, source: str, face: str, out: Path) -> str:
    """Runs a command of facevc, and returns the cells of the face, the result and its pitch."""
    out.parent.mkdir(exist_ok=True)
    words = [command, source, "--face", str(HERE / face), "-o", str(out), "--overwrite", "--quiet"]
    subprocess.run([sys.executable, "-m", "facevc_cli", *words], check=True)
    soundfile.info(out)  # whole
    picture = f'<img src="examples/{face}" width="72" alt="{Path(face).stem}">'
    link = f"[{out.name}](examples/{out.relative_to(HERE).as_posix()})"
    return f"{picture} | {link} | {median_f0_hz(out):.0f} Hz |"


def main() -> None:
    print("| utterance or text | its pitch | face | result | pitch of the result |")
    print("| --- | --- | --- | --- | --- |")
    for source, face in CONVERTED:
        out = HERE / "converted" / f"{Path(source).stem}__{Path(face).stem}.flac"
        cells = run("convert", str(HERE / source), face, out)
        print(f"| [{source}](examples/{source}) | {median_f0_hz(HERE / source):.0f} Hz | {cells}")
    for face in SPOKEN:
        print(f'| "{TEXT}" | | {run("speak", TEXT, face, HERE / "spoken" / f"hello__{Path(face).stem}.flac")}')


if __name__ == "__main__":
    main()
