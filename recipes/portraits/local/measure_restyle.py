"""measure_restyle.py DATA COMPOSITES FACES.h5 OUT [--count N]: restyles faces that were held out, and measures it.

Each adult of the list in recipes/starter that can be restyled is moved to the other register at .5 and at 1, and to an
age of 25 or 65, whichever is further. OUT gets figures.json, and sheet.png: the photo of each, then the three.

`fused` chooses the mixtures, so it should not judge them alone. The other judge is a logistic regression on dlib's
descriptor, fitted on the adults of FACES.h5 that are not held out. It looks for the face in the restyled picture anew.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from faces import AGES, cut_frame, read_adults
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.evaluation.metrics.gender import LinearGenderJudge, fit
from facevc_cli.evaluation.portraits.restyled import SAME
from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.files.image import load_image
from facevc_cli.portraits.composites import load_composites, make_sheet
from facevc_cli.portraits.photo import Aim, Restyled, Restyler


def list_held_out(data: Path, count: int, skip: int) -> list[tuple[Path, str, float]]:
    """Returns path, gender and age of held-out adults: women and men in turn."""
    listed = Path(__file__).parents[2] / "starter" / "held_out_faces.txt"
    names = set(listed.read_text(encoding="utf-8").split())
    with (data / "faces.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["face"] in names and row["age_bin"] in AGES]
    women, men = ([row for row in rows if row["gender"] == gender] for gender in ("female", "male"))
    mixed = [row for pair in zip(women, men, strict=False) for row in pair][skip:]
    return [(data / row["path"], row["gender"], AGES[row["age_bin"]]) for row in mixed][: 4 * count]


def fit_judge(data: Path, store: Path) -> LinearGenderJudge:
    """Fits P(woman) on dlib's descriptors of the adults in the store that are not held out."""
    adults = {face.path.stem: face for face in read_adults(data)}
    with Store(store) as found:
        known = [(i, adults[name]) for i, name in enumerate(found.ids) if name in adults]
        x = found.read_vectors("embedding")[[i for i, _ in known], :DLIB_DIM].astype(np.float64)
    women = np.array([face.gender == "female" for _, face in known], float)
    return fit(x, women, np.ones(len(women)))


def sees_woman(judge: LinearGenderJudge, restyler: Restyler, picture: np.ndarray) -> bool | None:
    """None if no face is found."""
    try:
        return bool(restyler.describe(picture)[:DLIB_DIM] @ judge.weight + judge.bias > 0)
    except FaceVCError:
        return None


def summarise(
    found: list[dict[str, Restyled]], women: list[bool], judged: dict[str, list[bool | None]]
) -> dict[str, object]:
    half, whole, older = ([one[name] for one in found] for name in ("half", "whole", "age"))
    moved = [(one.after.feminine > 0.5) != woman for one, woman in zip(whole, women, strict=True)]
    halves = [(one.after.feminine > 0.5) != woman for one, woman in zip(half, women, strict=True)]
    years = [abs(one.after.age_years - one.before.age_years) for one in older]
    right = [(one.after.age_years > one.before.age_years) == (one.before.age_years < 45) for one in older]
    return {
        "faces": len(found),
        "distance at .5": round(float(np.mean([one.distance for one in half])), 3),
        "share below .6 at .5": round(float(np.mean([one.distance < SAME for one in half])), 3),
        "distance at 1": round(float(np.mean([one.distance for one in whole])), 3),
        "register moved at .5": round(float(np.mean(halves)), 3),
        "register moved at 1": round(float(np.mean(moved)), 3),
        **{
            f"register moved at {at}, by the other judge": round(
                float(np.mean([seen is (not woman) for seen, woman in zip(judged[name], women, strict=True)])), 3
            )
            for at, name in ((".5", "half"), ("1", "whole"))
        },
        "years moved at 1": round(float(np.mean(years)), 1),
        "age moved the right way": round(float(np.mean(right)), 3),
    }


def main(given: argparse.Namespace) -> None:
    restyler = Restyler(load_composites(given.composites))
    judge = fit_judge(given.data, given.faces)
    judged: dict[str, list[bool | None]] = {"half": [], "whole": []}
    given.out.mkdir(parents=True, exist_ok=True)
    found, women, tiles = [], [], []
    for path, gender, _ in list_held_out(given.data, given.count, given.skip):
        if len(found) == given.count:
            break
        try:
            face = restyler.find_face(load_image(path))
        except FaceVCError as error:
            print(f"{path.name}: {str(error)[:100]}")
            continue
        if (face.reading.feminine > 0.5) != (gender == "female"):
            print(f"{path.name}: read as the other register than labelled, left out")
            continue
        other = 0.0 if gender == "female" else 1.0
        age = 65.0 if face.reading.age_years < 45 else 25.0
        aims = {"half": (Aim(other), 0.5), "whole": (Aim(other), 1.0), "age": (Aim(None, age), 1.0)}
        made = {name: restyler.restyle(face, aim, strength) for name, (aim, strength) in aims.items()}
        found.append(made)
        women.append(gender == "female")
        for name, seen in judged.items():
            seen.append(sees_woman(judge, restyler, made[name].picture))
        pictures = [face.picture, *(one.picture for one in made.values())]
        tiles += [cut_frame(picture, face.landmarks.points)[0] for picture in pictures]
        Image.fromarray(make_sheet(tiles, 8)).save(given.out / "sheet.png")
        distances = {name: round(one.distance, 2) for name, one in made.items()}
        register = (
            f"{face.reading.feminine:.2f} -> {made['half'].after.feminine:.2f}, {made['whole'].after.feminine:.2f}"
        )
        years = f"{made['age'].before.age_years:.0f} -> {made['age'].after.age_years:.0f} ({age:.0f})"
        said = f"other judge {[seen[-1] for seen in judged.values()]}; distances {distances}"
        print(f"{path.name}: {gender}, register {register}; age {years}; {said}", flush=True)
    figures = summarise(found, women, judged)
    (given.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("data", "composites", "faces", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0)
    main(parser.parse_args())
