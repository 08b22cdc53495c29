"""whispers.py OUT: make whispered copies of some recordings.

OUT/whispers.csv names them (utterance, path). The vocal folds' part is replaced by noise with WORLD. Without such
recordings the decoder has never seen a vowel without a pitch, and buzzes when a source whispers.

The script writes OUT/whispers/UTTERANCE.flac, and beside it in OUT/whispered_by/ a link to the original, from which
extract-spkemb takes the voice: a whisper does not say how its speaker sounds otherwise.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pyworld

from facevc_cli.files.audio import load_audio, save_audio

FULL_HZ = 1200.0  # below it, a whisper loses power


def whisper(wav: np.ndarray, rate: int) -> np.ndarray:
    """(n,) float32 -> the same words and length, without a voiced frame."""
    f0, envelope, aperiodicity = pyworld.wav2world(wav.astype(np.float64), rate)
    hz = np.linspace(0, rate / 2, envelope.shape[1])
    tilted = envelope * np.clip(hz / FULL_HZ, 0.1, 1.0) ** 2
    made = pyworld.synthesize(np.zeros_like(f0), tilted, np.ones_like(aperiodicity), rate)[: len(wav)]
    return (made * 0.5 / max(1e-9, np.abs(made).max())).astype(np.float32)


def main(out: Path) -> None:
    whispers, originals = out / "whispers", out / "whispered_by"
    for folder in (whispers, originals):
        folder.mkdir(exist_ok=True)
    with open(out / "whispers.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        made, original = whispers / f"{row['utterance']}.flac", Path(row["path"])
        link = originals / f"{row['utterance']}{original.suffix}"
        if not link.is_symlink():
            link.symlink_to(original)
        if not made.is_file():
            wav, rate = load_audio(original)
            save_audio(made, whisper(wav, rate), rate)
    print(f"{len(rows)} whispered recordings: {whispers}", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
