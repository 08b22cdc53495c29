"""The folder of composites: what is written is read again, and damage is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.composites import make_composites

from facevc_cli.core.errors import FaceVCError
from facevc_cli.portraits.composites import DESCRIPTION, NUMBERS, PICTURES, load_composites, make_sheet, save_composites


@pytest.mark.parametrize("name", [PICTURES, NUMBERS, DESCRIPTION])
def test_a_missing_file_is_named(tmp_path, name):
    save_composites(tmp_path, make_composites())
    (tmp_path / name).unlink()
    with pytest.raises(FaceVCError, match=name):
        load_composites(tmp_path)


def test_a_changed_file_is_refused(tmp_path):
    save_composites(tmp_path, make_composites())
    with open(tmp_path / NUMBERS, "ab") as file:
        file.write(b"\0")
    with pytest.raises(FaceVCError, match="expected sha256"):
        load_composites(tmp_path)


@pytest.mark.parametrize("broken", [{}, {"members": 3}, {"size_px": 63}])
def test_a_description_that_does_not_fit_is_refused(tmp_path, broken):
    save_composites(tmp_path, make_composites())
    path = tmp_path / DESCRIPTION
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, **broken} if broken else {"sha256": said["sha256"]}))
    with pytest.raises(FaceVCError, match="no composites"):
        load_composites(tmp_path)


def test_numbers_of_another_count_are_refused(tmp_path):
    with pytest.raises(FaceVCError, match="expected ages of the shape"):
        save_composites(tmp_path, replace(make_composites(), ages=np.zeros(3, np.float32)))


def test_what_is_written_is_read_again(tmp_path):
    written = make_composites(14)
    save_composites(tmp_path, written, quality=95)
    found = load_composites(tmp_path)
    assert len(found) == 14
    assert np.abs(found.pictures.astype(int) - written.pictures).mean() < 3
    assert np.abs(found.landmarks - written.landmarks).max() < 0.02
    assert np.array_equal(found.triangles, written.triangles)
    assert np.array_equal(found.descriptors, written.descriptors)
    assert found.ages.tolist() == written.ages.tolist()
    assert found.members == written.members and found.groups == written.groups and found.licence == "drawn"
    assert len(found.sha256) == 64


def test_a_sheet_has_the_pictures_in_rows_and_is_white_elsewhere():
    sheet = make_sheet([np.full((2, 2, 3), 10 * i, np.uint8) for i in range(3)], columns=2)
    assert sheet[..., 0].tolist() == [[0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 255, 255], [20, 20, 255, 255]]
