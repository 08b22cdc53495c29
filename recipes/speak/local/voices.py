"""voices.py PACKAGES ASSETS: write the styles of Kokoro's voices that facevc contains.

PACKAGES is the folder that recipes/parallel fills in stage 1. Writes ASSETS/voices.safetensors (float16, the styles at
14 numbers of symbols) and symbols.json. Prints how far the styles in between are from Kokoro's own, in units of the
mean distance between two voices.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from facevc_cli.synthesis.kokoro.voices import KNOTS, interpolate

LANGUAGES = "abe"  # first letters of the voices that are kept: American, British, Spanish
USUAL_TOKENS = range(5, 300)


def read_voices(folder: Path) -> dict[str, np.ndarray]:
    """Read the styles of every voice, by number of symbols: name -> (510, 256)."""
    return {path.stem: np.fromfile(path, "<f4").reshape(-1, 256) for path in sorted(folder.glob("*.bin"))}


def main(packages: Path, assets: Path) -> None:
    voices = {name: styles for name, styles in read_voices(packages / "voices").items() if name[0] in LANGUAGES}
    kept = {name: styles[list(KNOTS)].astype(np.float16) for name, styles in voices.items()}
    means = np.stack([styles.mean(0) for styles in voices.values()])
    apart = np.linalg.norm(means[:, None] - means[None], axis=2)
    usual = float(apart[np.triu_indices(len(means), 1)].mean())
    errors = [
        float(np.linalg.norm(interpolate(kept[name].astype(np.float32), tokens) - voices[name][tokens]))
        for name in voices
        for tokens in USUAL_TOKENS
    ]
    assets.mkdir(parents=True, exist_ok=True)
    save_file(kept, assets / "voices.safetensors", {"license": "Apache-2.0", "from": "Kokoro-82M, hexgrad"})
    (assets / "voices.safetensors").chmod(0o644)
    symbols = json.loads((packages / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    (assets / "symbols.json").write_text(json.dumps(symbols, ensure_ascii=False) + "\n", encoding="utf-8")
    size = (assets / "voices.safetensors").stat().st_size
    print(
        f"{len(kept)} voices, {size} bytes; styles in between: mean error {np.mean(errors) / usual:.4f}, "
        f"largest {max(errors) / usual:.4f} of the distance between two voices"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
