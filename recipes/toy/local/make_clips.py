"""make_clips.py OUT [--people N] [--clips N] [--seconds S]: make talking-face clips OUT/SPEAKER/NUMBER.mp4.

Each clip shows a drawn face whose mouth moves with synthetic speech, 320 x 240 at 25 frames per second. Every second
person has a man's face and voice; OUT/people.csv (speaker, gender) lists them. The same arguments make the same
pictures and sound. Existing clips are kept.
"""

import argparse
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from draw_face import draw_face
from synth_speech import HOP_S, RATE, Voice, speak

WIDTH_PX, HEIGHT_PX, FRAME_RATE = 320, 240, 25
MOUTHS = 6  # drawn positions; a frame uses the nearest


def make_voice(person: int) -> Voice:
    """Make a person's voice. Men have low pitch and long vocal tracts, women the opposite. No two voices are equal."""
    rng = np.random.default_rng([7, person])
    man = person % 2 == 0
    return (
        Voice(rng.uniform(95, 135), rng.uniform(0.92, 1.02))
        if man
        else Voice(rng.uniform(185, 240), rng.uniform(1.12, 1.22))
    )


def make_clip(path: Path, person: int, take: int, seconds: float) -> None:
    """Make a clip of one person who speaks, with small head movements."""
    wav, loud = speak(make_voice(person), seconds, seed=1000 * person + take)
    heads = [draw_face(person, HEIGHT_PX, mouth_open=i / (MOUTHS - 1), manly=person % 2 == 0) for i in range(MOUTHS)]
    rng = np.random.default_rng([8, person, take])
    sway = rng.uniform(0, 6, 2)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(partial), "w") as container:
        video = container.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": "20", "preset": "veryfast", "threads": "1"}
        )
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(round(seconds * FRAME_RATE)):
            time_s = number / FRAME_RATE
            opening = loud[min(len(loud) - 1, round(time_s / HOP_S))]
            offset = np.round([40 + 12 * np.sin(1.7 * time_s + sway[0]), 3 * np.sin(2.3 * time_s + sway[1])]).astype(
                int
            )
            picture = _place_head(heads[round(opening * (MOUTHS - 1))], offset)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        for start in range(0, len(wav), 1024):
            block = av.AudioFrame.from_ndarray(wav[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(sound.encode(block))
        container.mux(sound.encode())
    os.replace(partial, path)


def _place_head(head: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Place the square head in the wide picture. Its edge continues to the sides."""
    right, down = int(offset[0]), int(offset[1])
    wide = np.pad(head, ((8, 8), (right, WIDTH_PX - HEIGHT_PX - right), (0, 0)), mode="edge")
    return np.ascontiguousarray(wide[8 - down : 8 - down + HEIGHT_PX])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--clips", type=int, default=2, help="clips per person")
    parser.add_argument("--seconds", type=float, default=2.6)
    parser.add_argument(
        "--first-person", type=int, default=0, help="number of the first person; other numbers are other people"
    )
    given = parser.parse_args()
    lines = ["speaker,gender"]
    for person in range(given.first_person, given.first_person + given.people):
        gender = "male" if person % 2 == 0 else "female"
        lines.append(f"{gender}-{person},{gender}")
        for take in range(given.clips):
            path = given.out / f"{gender}-{person}" / f"{take + 1:05d}.mp4"
            if not path.exists():
                make_clip(path, person, take, given.seconds)
    (given.out / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
