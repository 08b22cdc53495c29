"""face_images.py CLIPS TABLE.csv OUT [--each N]: take still pictures of people from their clips, as targets.

TABLE.csv has the columns utterance (a clip's path below CLIPS without suffix) and speaker. Each speaker gets N pictures
OUT/SPEAKER/NUMBER.png, from the middles of N different clips. If there are fewer clips, the pictures are spread over
those.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import av

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mpg", ".mpeg", ".avi", ".webm", ".mov"}


def decode_frames(clip: Path, shares: list[float]) -> list:
    """Decode pictures at these shares of a clip's length.

    The whole clip is decoded, because not every container states its length.
    """
    with av.open(str(clip)) as container:
        count = sum(1 for _ in container.decode(video=0))
    wanted = {int(share * count) for share in shares}
    with av.open(str(clip)) as container:
        return [frame.to_image() for number, frame in enumerate(container.decode(video=0)) if number in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=2, help="pictures per speaker")
    given = parser.parse_args()
    videos = sorted(p for p in given.clips.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    found = {p.relative_to(given.clips).with_suffix("").as_posix(): p for p in videos}
    clips_of: dict[str, list[Path]] = defaultdict(list)
    with open(given.table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["utterance"] not in found:
                sys.exit(f"{given.table}: there is no clip {row['utterance']!r} below {given.clips}")
            clips_of[row["speaker"]].append(found[row["utterance"]])
    for speaker, clips in clips_of.items():
        chosen = clips[: given.each]
        pictures = []
        for i, clip in enumerate(chosen):
            count = len(range(i, given.each, len(chosen)))
            pictures += decode_frames(clip, [(k + 1) / (count + 1) for k in range(count)])
        (given.out / speaker).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures, start=1):
            picture.save(given.out / speaker / f"{number:02d}.png")


if __name__ == "__main__":
    main()
