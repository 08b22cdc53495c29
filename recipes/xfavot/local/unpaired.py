"""unpaired.py VCTK CELEBA OUT [--count N]: list VCTK's speech and CelebA-HQ's faces, who are different people.

VCTK holds speaker-info.txt and wav48_silence_trimmed/p225/p225_001_mic1.flac, or wav48/p225/p225_001.wav. CELEBA holds
pictures in folders named female and male, at any depth: train/female/000004.jpg. N speakers and N faces train nothing;
faces in a folder named val or test are held out first. It writes speech.txt, faces.txt, and the tables of tables.py.
"""

import argparse
import re
import sys
from pathlib import Path

from tables import GENDERS, NAMES, hold_out, link, write_lines, write_tables, write_test

from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES

HELD_OUT_FOLDERS = {"val", "valid", "test"}


def read_genders(vctk: Path) -> dict[str, str]:
    """Read speaker-info.txt: ID, AGE, GENDER and more, between spaces. Older copies leave the p of p225 out."""
    lines = (vctk / "speaker-info.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines]
    found = {w[0] if w[0][0].isalpha() else f"p{w[0]}": NAMES.get(w[2].lower(), "") for w in words if len(w) > 2}
    return {name: gender for name, gender in found.items() if gender}


def list_recordings(vctk: Path, genders: dict[str, str]) -> dict[str, list[Path]]:
    """Return the recordings of each speaker; of two microphones the first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(vctk.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.parent.name in genders and "_mic2" not in path.name:
            found.setdefault(path.parent.name, []).append(path)
    return found


def list_faces(root: Path) -> dict[Path, str]:
    """Return pictures with the gender of their folder."""
    paths = [p for p in sorted(root.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
    found = {p: next((n for n in reversed(p.relative_to(root).parts) if n in GENDERS), "") for p in paths}
    return {path: gender for path, gender in found.items() if gender}


def choose_test_faces(faces: dict[Path, str], root: Path, count: int) -> list[Path]:
    set_aside = [p for p in faces if HELD_OUT_FOLDERS & set(p.relative_to(root).parts)]
    chosen: list[Path] = []
    for gender in GENDERS:
        own = [p for p in faces if faces[p] == gender]
        chosen += [*(p for p in set_aside if faces[p] == gender), *reversed(own[1:])][: -(-count // 2)]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("vctk", "celeba", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=4)
    given = parser.parse_args()
    genders = read_genders(given.vctk)
    recordings, faces = list_recordings(given.vctk, genders), list_faces(given.celeba)
    if not recordings or not faces:
        sys.exit(
            f"expected recordings of VCTK in folders like p225 below {given.vctk}, and pictures in folders named "
            f"female and male below {given.celeba}; found {len(recordings)} speakers and {len(faces)} pictures."
        )
    tested = hold_out({name: genders[name] for name in recordings}, given.count)
    shown = choose_test_faces(faces, given.celeba, given.count)
    kept = [p for p in faces if p not in shown and not HELD_OUT_FOLDERS & set(p.relative_to(given.celeba).parts)]
    write_lines(given.out / "speech.txt", [p for n, files in recordings.items() if n not in tested for p in files])
    write_lines(given.out / "faces.txt", kept)
    heard = [(path.stem, name) for name, files in recordings.items() for path in files]
    known = {("voice", name): genders[name] for name in recordings} | {("face", p.stem): faces[p] for p in kept}
    write_tables(given.out, heard, [(p.stem, p.stem) for p in kept], known, tested)
    sources = [(re.sub("_mic1$", "", recordings[name][0].stem), recordings[name][0]) for name in tested]
    for identifier, path in sources:
        link(path, given.out / "test" / "sources", identifier)
    for path in shown:
        link(path, given.out / "test" / "faces", path.stem)
    pairs = zip(sources, tested, strict=True)
    write_test(given.out, [(s[0], genders[name]) for s, name in pairs], [(p.stem, faces[p]) for p in shown])


if __name__ == "__main__":
    main()
