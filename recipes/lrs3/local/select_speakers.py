"""select_speakers.py LRS3 OUT: choose the clips of LRS3 for training, validation and test.

LRS3 holds {pretrain,trainval,test}/SPEAKER/NUMBER.mp4 with NUMBER.txt beside it. Training uses the speakers with most
clips in pretrain. Validation uses clips of other people in trainval: one of each before a second of any. The test uses
one clip of each source speaker and all clips of each target speaker, from test. A speaker may have a 00001 both in
pretrain and in trainval, so ids contain
the split: pretrain/SPEAKER/00001.

The script writes OUT/clips (links to the chosen clips, in a tree like LRS3's), splits.csv (utterance, split),
speakers.csv (speaker, split, clips), sources.csv and targets.csv (utterance, speaker). The same input and seed give the
same choice.
"""

import argparse
import csv
import random
import shutil
import sys
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path

Clips = dict[str, list[str]]  # speaker -> ids SPLIT/SPEAKER/NUMBER, sorted
SPLITS = ("pretrain", "trainval", "test")


def read_split(root: Path, split: str) -> Clips:
    clips: Clips = {}
    for path in sorted((root / split).glob("*/*.mp4")):
        clips.setdefault(path.parent.name, []).append(f"{split}/{path.parent.name}/{path.stem}")
    if not clips:
        sys.exit(
            f"{root / split}: expected LRS3's layout, SPEAKER/00001.mp4 below pretrain, trainval and test, found no "
            "such clip."
        )
    return clips


def choose_speakers(clips: Clips, count: int) -> list[str]:
    """Choose the speakers with most clips. Ties are broken by name."""
    return sorted(clips, key=lambda speaker: (-len(clips[speaker]), speaker))[:count]


def draw_validation(clips: Clips, training: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """Draw clips of people who are not in the training, from as many people as possible."""
    others = sorted(set(clips) - set(training))
    rng.shuffle(others)
    rounds = zip_longest(*(clips[speaker] for speaker in others))
    return [clip for clip_round in rounds for clip in clip_round if clip is not None][:count]


def draw_people(speakers: list[str], genders: Mapping[str, str], count: int, rng: random.Random) -> list[str]:
    """Draw `count` speakers. Half of them are women if genders are known."""
    if not genders:
        return rng.sample(speakers, min(count, len(speakers)))
    drawn = []
    for gender in ("female", "male"):
        known = [s for s in speakers if genders.get(s) == gender]
        drawn += rng.sample(known, min(count // 2, len(known)))
    return drawn


def draw_test(
    clips: Clips, genders: Mapping[str, str], sources: int, targets: int, rng: random.Random
) -> tuple[list[str], list[str]]:
    """Draw (source speakers, target speakers); nobody is both.

    Targets are those with most clips, because they are compared with their real voice.
    """
    source_speakers = draw_people(sorted(clips), genders, sources, rng)
    rest = [s for s in choose_speakers(clips, len(clips)) if s not in source_speakers]
    several = [s for s in rest if len(clips[s]) > 1]
    target_speakers = draw_people(several if len(several) >= targets else rest, genders, targets, rng)
    if not source_speakers or not target_speakers:
        sys.exit(f"test has {len(clips)} speakers: too few for {sources} sources and {targets} targets.")
    return source_speakers, target_speakers


def link_clips(root: Path, utterances: Iterable[str], out: Path) -> None:
    """Make a tree of links, so that commands see only the chosen clips. The ids contain the split."""
    if out.exists():
        shutil.rmtree(out)
    for utterance in utterances:
        for suffix in (".mp4", ".txt"):
            original = root / f"{utterance}{suffix}"
            if original.exists():
                link = out / f"{utterance}{suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(original.resolve())


def refuse_another_choice(out: Path, splits: list[tuple[str, str]]) -> None:
    """Stop if OUT holds recordings of another choice, because the training would use both."""
    listed = out / "splits.csv"
    if (out / "wav").exists() and listed.is_file():
        with open(listed, newline="", encoding="utf-8") as file:
            if [tuple(row) for row in csv.reader(file)][1:] != splits:
                sys.exit(f"{out} holds the recordings of another choice of clips. Choose another --out, or remove it.")


def write(path: Path, columns: list[str], rows: Iterable[tuple]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lrs3", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speakers", type=int, default=200)
    parser.add_argument("--valid-clips", type=int, default=500)
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument(
        "--genders",
        type=Path,
        help="a table (speaker, gender: female or male): draws as many women as men for the test",
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    genders = {}
    if given.genders:
        with open(given.genders, newline="", encoding="utf-8") as file:
            genders = {row["speaker"]: row["gender"] for row in csv.DictReader(file)}
    rng = random.Random(given.seed)
    pretrain, trainval, test = (read_split(given.lrs3, split) for split in SPLITS)
    training = choose_speakers(pretrain, given.speakers)
    valid = draw_validation(trainval, training, given.valid_clips, rng)
    sources, targets = draw_test(test, genders, given.sources, given.targets, rng)
    spoken = [(rng.choice(test[s]), s) for s in sources]
    splits = [(u, "train") for s in training for u in pretrain[s]] + [(u, "valid") for u in valid]
    splits += [(u, "test") for u, _ in spoken] + [(u, "test") for s in targets for u in test[s]]
    given.out.mkdir(parents=True, exist_ok=True)
    refuse_another_choice(given.out, splits)
    link_clips(given.lrs3, [u for u, _ in splits], given.out / "clips")
    write(given.out / "splits.csv", ["utterance", "split"], splits)
    write(given.out / "speakers.csv", ["speaker", "split", "clips"], [(s, "train", len(pretrain[s])) for s in training])
    write(given.out / "sources.csv", ["utterance", "speaker"], spoken)
    write(given.out / "targets.csv", ["utterance", "speaker"], [(u, s) for s in targets for u in test[s]])
    valid_people = len({u.split("/")[1] for u in valid})
    clips = sum(len(pretrain[s]) for s in training)
    print(
        f"{len(training)} speakers, {clips} clips to train on; {len(valid)} clips of {valid_people} people to validate"
    )
    print(f"sources: {', '.join(sources)}; targets: {', '.join(targets)}")


if __name__ == "__main__":
    main()
