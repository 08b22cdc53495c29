"""evaluation/portraits/restyled.py: how much of a person stays, and what moved."""

from pathlib import Path

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.portraits.restyled import (
    JudgedPicture,
    RestyledPicture,
    find_restyled,
    measure_restyled,
    read_restyled,
)
from facevc_cli.files.tables import write_table
from facevc_cli.imagining.judge import Judgement

COLUMNS = ("picture", "status", "photo", "key", "register_asked", "age_asked", "strength")


def see(feminine: float, age: float, distance: float = 0.0, place: float = 0.0) -> Judgement:
    descriptor = np.zeros(128, np.float32)
    descriptor[0] = place
    return Judgement(feminine, age, descriptor, distance, True)


def make(name: str, register: float | None, age: float | None, before: Judgement, after: Judgement, strength="1"):
    asked = RestyledPicture(Path(f"{name}.png"), Path(f"{name}.jpg"), register, age, strength)
    return JudgedPicture(asked, before, after)


def test_figures_of_pictures_and_of_their_photos():
    pictures = [
        make("a", 1.0, 60.0, see(0.1, 30, place=0.0), see(0.9, 50, 0.5)),  # moved
        make("b", 1.0, None, see(0.2, 30, place=0.7), see(0.4, 30, 0.7)),  # not moved, another person
        make("c", 1.0, None, see(0.8, 30, place=1.0), see(0.9, 30, 0.3)),  # it was a woman before
    ]
    (group,) = measure_restyled(pictures).values()
    values = {system: {name: figure.value for name, figure in found.items()} for system, found in group.items()}
    assert values["restyled"] == pytest.approx(
        {
            "identity kept": 2 / 3,
            "distance to the photo": 0.5,
            "register as asked": 2 / 3,
            "register moved": 1 / 2,
            "years from the asked age": 10.0,
        }
    )
    assert values["photos"] == pytest.approx(
        {
            "identity kept": 1 / 3,  # .7, .3 and 1 to the next photo
            "distance to the photo": 2 / 3,
            "register as asked": 1 / 3,
            "register moved": 0.0,
            "years from the asked age": 30.0,
        }
    )


def test_each_strength_is_a_group_and_what_was_not_asked_has_no_figure():
    pictures = [make("a", None, 60.0, see(0.1, 30), see(0.1, 45, 0.5), strength) for strength in ("0.5", "1")]
    groups = measure_restyled(pictures)
    assert list(groups) == ["strength 0.5", "strength 1"]
    made, photos = groups["strength 1"]["restyled"], groups["strength 1"]["photos"]
    assert set(made) == {"identity kept", "distance to the photo", "years from the asked age"}
    assert set(photos) == {"identity kept", "years from the asked age"}  # there is no other photo


def test_a_table_is_read(tmp_path):
    row = dict.fromkeys(COLUMNS, "")
    rows = [
        {**row, "picture": "a.png", "photo": "../a.jpg", "status": "done", "register_asked": "1.00", "strength": "0.5"},
        {**row, "picture": "b.png", "photo": "../b.jpg", "status": "failed"},
    ]
    write_table(tmp_path / "out/restyled.csv", rows)
    table = find_restyled(tmp_path / "out")
    assert table == tmp_path / "out/restyled.csv" and find_restyled(tmp_path) is None
    (one,) = read_restyled(table)
    assert (one.path, one.register, one.age_years, one.strength) == (tmp_path / "out/a.png", 1.0, None, "0.5")
    assert one.photo.resolve() == tmp_path / "a.jpg"
    write_table(tmp_path / "out/restyled.csv", [{**rows[0], "register_asked": "much"}])
    with pytest.raises(FaceVCError, match="expected a number for what was asked, found 'much'"):
        read_restyled(table)
    write_table(tmp_path / "out/restyled.csv", rows[1:])
    with pytest.raises(FaceVCError, match="expected rows of finished pictures, found none"):
        read_restyled(table)
