"""Writes dvectors.npz: what Resemblyzer itself gives on signals of several lengths. Needs the extra [resemblyzer]."""

import sys
from pathlib import Path

import numpy as np
from resemblyzer import VoiceEncoder

sys.path.insert(0, str(Path(__file__).parent.parent))
from helpers.sounds import buzz

RATE = 16000
LENGTHS = (25600, 40000, 70001, 200000)


def main() -> None:
    encoder = VoiceEncoder("cpu", verbose=False)
    found = {}
    for samples in LENGTHS:
        wav = buzz(samples / RATE)[:samples]
        found[str(samples)] = encoder.embed_utterance((wav / np.abs(wav).max() * 0.9).astype(np.float32))
    np.savez(Path(__file__).with_name("dvectors.npz"), **found)


if __name__ == "__main__":
    main()
