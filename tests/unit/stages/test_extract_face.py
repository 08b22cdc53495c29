"""stages/extract_face.py: files in, a store out."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.pictures import draw_face, noise
from helpers.videos import write_video
from PIL import Image

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.store import Store
from facevc_cli.faces.analyser import FaceAnalyser, NoFaceError, level_crop
from facevc_cli.files.image import load_image, save_image
from facevc_cli.files.inputs import Input
from facevc_cli.stages.extract_face import ExtractFaceConfig, _make_crop_path, run
from facevc_cli.stages.info import describe


def _config(sources, output, **changes):
    return ExtractFaceConfig(sources=(sources,), output=output, **{"jobs": 1, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of every kind and two clips."""
    root = tmp_path_factory.mktemp("faces")
    face = draw_face(3)
    save_image(root / "ann_a" / "plain-1.png", face)
    Image.fromarray(np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])).save(root / "ann_a" / "rgba.png")
    Image.fromarray(face).convert("L").save(root / "ann_a" / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    Image.fromarray(np.rot90(face)).save(root / "ann_a" / "turned.jpg", exif=exif, quality=95)
    save_image(root / "two.png", np.hstack([draw_face(1), draw_face(2, scale=0.7)]))
    save_image(root / "bad" / "noise.png", noise(1, 128))
    save_image(root / "bad" / "sixteen.png", draw_face(3, 16))
    (root / "bad" / "empty.jpg").write_bytes(b"")
    (root / "bad" / "text.jpg").write_text("text")
    moving = [draw_face(5, mouth_open=i % 3 / 2, centre=(0.4 + 0.03 * i, 0.5), scale=0.9) for i in range(8)]
    write_video(root / "clips" / "moving.mp4", [*moving, noise(2), noise(2), noise(2)])
    write_video(root / "bad" / "faceless.mp4", [noise(3, 128)] * 6)
    return root


def test_bad_settings(tmp_path):
    with pytest.raises(UsageError, match="detector"):
        run(_config(tmp_path, tmp_path / "f.h5", detector="eyes"))
    with pytest.raises(UsageError, match="at least 1"):
        run(_config(tmp_path, tmp_path / "f.h5", every=0))
    for side in (63, 257):
        with pytest.raises(UsageError, match=f"--store-crops {side}: expected 64 to 256 pixels"):
            run(_config(tmp_path, tmp_path / "f.h5", crop_px=side))
    with pytest.raises(FaceVCError, match="nothing to do"):
        run(_config(tmp_path, tmp_path / "f.h5"))


def test_a_folder_of_everything(folder, tmp_path):
    summary = run(_config(folder, tmp_path / "faces.h5", every=2, save_crops=tmp_path / "crops"))
    failed = dict(summary.failures)
    assert set(failed) == {"bad/noise", "bad/sixteen", "bad/empty", "bad/text", "bad/faceless"}
    assert "zero bytes" in failed["bad/empty"] and "expected an image" in failed["bad/text"]
    assert "noise.png: no usable face" in failed["bad/noise"] and "3 frames looked at" in failed["bad/faceless"]
    assert summary.done == 6
    store = Store(tmp_path / "faces.h5", "extract-face")
    assert store.ids == ["ann_a/grey", "ann_a/plain-1", "ann_a/rgba", "ann_a/turned", "clips/moving", "two"]
    assert store.speakers[:5] == ["ann_a"] * 4 + ["clips"]
    assert store.read_column("kind") == ["image"] * 4 + ["video", "image"]
    assert Path(store.read_column("path")[0]).name == "grey.png"
    embeddings = store.read_vectors("embedding")
    assert embeddings.shape == (6, 162) and embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings[1], embeddings[2])  # an opaque RGBA picture is the same picture
    assert np.linalg.norm(embeddings[1] - embeddings[3]) < 0.1  # so is one turned by EXIF
    assert store.read_frames("faces", 5).tolist() == [2]
    # six of eleven frames are looked at, four of them (0 2 4 6) show the face
    assert store.read_column("frames_seen")[4] == 6 and store.read_column("frames_with_face")[4] == 4
    frames = store.read_frames("embedding", 4)
    assert (
        frames.shape == (4, 162)
        and store.read_frames("box", 4).shape == (4, 4)
        and store.read_frames("score", 4).shape == (4,)
    )
    np.testing.assert_allclose(frames.mean(0), embeddings[4], atol=1e-6)
    middle = store.read_frames("box", 4)[:, [0, 2]].mean(1)
    assert 25 < middle[-1] - middle[0] < 65  # the head moves .18 of 256 px to the right
    crops = {p.relative_to(tmp_path / "crops").as_posix() for p in (tmp_path / "crops").rglob("*") if p.is_file()}
    assert {"ann_a/plain-1.png", "two.png", "clips/moving/frame-000000.png", "clips/moving/frame-000006.png"} <= crops
    assert len(crops) == 9 and load_image(tmp_path / "crops" / "two.png").shape == (150, 150, 3)
    store.close()


def test_skipping_pictures_of_several(folder, tmp_path):
    summary = run(_config(folder / "two.png", tmp_path / "faces.h5", on_many="skip"))
    assert summary.done == 0 and "found 2" in summary.failures[0][1] and not (tmp_path / "faces.h5").exists()


def test_a_second_run_skips_and_other_settings_are_refused(folder, tmp_path):
    config = _config(folder / "ann_a", tmp_path / "faces.h5")
    assert run(config).done == 4
    assert (run(config).done, run(config).skipped) == (0, 4)
    with pytest.raises(FaceVCError, match="every"):
        run(_config(folder / "ann_a", tmp_path / "faces.h5", every=3))
    assert run(_config(folder / "ann_a", tmp_path / "faces.h5", every=3, overwrite=True, limit=2)).done == 2


def test_frames_are_limited(folder, tmp_path):
    run(_config(folder / "clips", tmp_path / "faces.h5", every=1, max_frames=3))
    with Store(tmp_path / "faces.h5") as store:
        assert store.read_lengths("embedding").tolist() == [3]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(folder, tmp_path):
    assert run(_config(folder / "ann_a", tmp_path / "two.h5", jobs=2)).done == 4
    with Store(tmp_path / "two.h5") as store:
        expected = FaceAnalyser(embedder="fused").analyse(load_image(folder / "ann_a" / "grey.png")).embedding
        np.testing.assert_allclose(store.read_vectors("embedding")[store.position["grey"]], expected, atol=1e-5)


def test_crops_in_the_store_are_the_faces_of_its_boxes(folder, tmp_path):
    config = _config(folder / "ann_a", tmp_path / "f.h5", crop_px=64, every=2)
    config = dataclasses.replace(config, sources=(folder / "ann_a", folder / "clips"))
    assert run(config).done == 5 and run(config).skipped == 5
    with Store(tmp_path / "f.h5", "extract-face") as store:
        assert store.read_lengths("crop").tolist() == [1, 1, 1, 1, 4] and store.settings["crop_px"] == 64
        crops = store.read_frames("crop", 4)
        assert crops.shape == (4, 64, 64, 3) and crops.dtype == np.uint8
        for name in ("plain-1.png", "turned.jpg"):  # one is turned by EXIF
            row = store.position[name.split(".")[0]]
            wanted = level_crop(load_image(folder / "ann_a" / name), store.read_frames("box", row)[0], 64)
            np.testing.assert_array_equal(store.read_frames("crop", row)[0], wanted)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["frames/crop"].shape == (8, 64, 64, 3) and file["frames/crop"].chunks is None  # contiguous
    described = describe(tmp_path / "f.h5")
    assert described["frames"]["crop"] == 8 and described["settings"]["crop_px"] == 64


def test_a_store_without_crops_stays_as_it_was_and_goes_on(folder, tmp_path):
    config = _config(folder / "ann_a", tmp_path / "f.h5", limit=2)
    run(config)
    with Store(tmp_path / "f.h5") as store:
        assert "crop" not in store.frame_names and "crop_px" not in store.settings
    assert run(dataclasses.replace(config, limit=None)).done == 2
    with pytest.raises(FaceVCError, match="crop_px: None there, 128 now"):
        run(dataclasses.replace(config, crop_px=128))


def test_a_face_of_a_picture_on_its_side_is_cut_upright(folder):
    image = load_image(folder / "ann_a" / "plain-1.png")
    analyser = FaceAnalyser()
    upright, turned = analyser.cut(image, 96), analyser.cut(np.ascontiguousarray(np.rot90(image)), 96)
    assert upright.shape == turned.shape == (96, 96, 3)
    assert np.abs(upright.astype(int) - turned).mean() < 20 < np.abs(upright.astype(int) - np.rot90(turned)).mean()
    with pytest.raises(NoFaceError, match="expected a face"):
        analyser.cut(noise(1, 128), 96)


def test_dry_run_writes_nothing(folder, tmp_path):
    run(_config(folder, tmp_path / "faces.h5", dry_run=True, save_crops=tmp_path / "crops"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("identifier", ["..", "../x", "a/../../x", "/x", "a//b", "..\\x"])
def test_crops_stay_in_their_folder(tmp_path, identifier):
    with pytest.raises(FaceVCError, match="cannot be a file below"):
        _make_crop_path(tmp_path, Input(Path("x.png"), identifier, "s"), None)
