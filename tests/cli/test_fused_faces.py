"""From pictures to speech with the embedder `fused`: the store, a training and a conversion name it to each other."""

import numpy as np
from helpers.commands import call
from helpers.pictures import draw_face
from helpers.sounds import recording
from helpers.stores import TOY, Stores

from facevc_cli.corpus.store import Store
from facevc_cli.faces.embedders.fused import FusedEmbedder
from facevc_cli.faces.reading import read_face
from facevc_cli.files.image import load_image, save_image


def test_a_model_trained_on_fused_faces_finds_its_embedder(tmp_path, toy_stores: Stores, toy_run, no_plots):
    for i, person in enumerate(("anna", "bert", "cleo", "vera")):
        save_image(tmp_path / f"faces/{person}/1.png", draw_face(i))
    extract = ["extract-face", tmp_path / "faces", "-o", tmp_path / "faces.h5", "-j", 1]
    found = call(*extract, "--limit", 3)
    assert found.exit_code == 0, found.stderr
    found = call(*extract, "--save-crops", tmp_path / "crops")
    assert found.exit_code == 0 and "1 done, 3 skipped" in " ".join(found.stderr.split()), found.stderr
    (crop,) = (tmp_path / "crops").rglob("*.png")
    assert load_image(crop).shape == (150, 150, 3)
    found = call(*extract, "--embedder", "dlib")  # it does not mix with the default
    assert found.exit_code == 1 and "fused" in found.stderr
    with Store(tmp_path / "faces.h5", "extract-face") as store:
        assert store.settings["embedder"] == "fused" and store.settings["weights"] == FusedEmbedder.weights
        embeddings = store.read_vectors("embedding")
    assert embeddings.shape == (4, 162) and np.isfinite(embeddings).all()
    assert 0.5 <= read_face(embeddings[0]).certainty <= 1

    small = [part for setting in TOY if setting.startswith("train.") for part in ("--set", setting)]
    stores = ["--faces", tmp_path / "faces.h5", "--voices", toy_stores.voices, "--set", "model.face_dim=162"]
    run = tmp_path / "run"
    found = call("train", toy_stores.features, *stores, "--init", toy_run, "-o", run, "-d", "cpu", *small)
    assert found.exit_code == 0, found.stderr
    convert = ["convert", recording(tmp_path / "s.wav", 0.3), "-o", tmp_path / "out", "--checkpoint", run]
    found = call(*convert, "--vocoder", "griffin-lim", "--face", tmp_path / "faces/anna/1.png")
    assert found.exit_code == 0 and list((tmp_path / "out").glob("*.wav")), found.stderr
