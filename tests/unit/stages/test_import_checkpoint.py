"""stages/import_checkpoint.py: published weights, and our own, as checkpoints that compute what they
computed before.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint as tiny_checkpoint
from helpers.reference import draw_tensor

from facevc_cli import load_model
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.families.checkpoint import load_checkpoint, save_checkpoint
from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run
from facevc_cli.training.weights import TRAINING, WEIGHTS

TOLERANCE = 1e-5
SCOPES = {"fvmvc": {"encoder": "encoder", "encoder_spk": "encoder_spk", "decoder": "decoder"}}
SCOPES["vqmivc"] = {**SCOPES["fvmvc"], "encoder_spk": "encoder_spk_mel"}


@pytest.fixture(scope="module")
def published(reference, tmp_path_factory) -> dict[str, Path]:
    """Paths of an `fvmvc` and a `vqmivc` checkpoint as published, and of statistics."""
    folder = tmp_path_factory.mktemp("published")
    shapes, seed = json.loads(str(reference["shapes"])), int(reference["base_seed"])
    for kind, scopes in SCOPES.items():
        tensors = {
            name: {key: draw_tensor(scope, key, shape, seed) for key, shape in shapes[scope].items()}
            for name, scope in scopes.items()
        }
        torch.save({**tensors, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3}, folder / f"{kind}.pt")
    rng = np.random.default_rng(0)
    np.save(folder / "stats.npy", np.stack([rng.normal(size=80), rng.uniform(0.5, 2, 80)]))
    return {kind: folder / f"{kind}.pt" for kind in SCOPES} | {"stats": folder / "stats.npy"}


def imported(published: dict[str, Path], kind: str, output: Path, **options: object) -> Path:
    run(ImportCheckpointConfig(source=published[kind], output=output, stats=published["stats"], **options))  # type: ignore[arg-type]
    return output


def close(found: torch.Tensor, expected: np.ndarray) -> bool:
    return float(np.abs(found.detach().numpy() - expected).max()) <= TOLERANCE * float(np.abs(expected).max())


@torch.no_grad()
def test_fvmvc_computes_the_golden_outputs_end_to_end(published, reference, tmp_path):
    model = load_model(imported(published, "fvmvc", tmp_path / "model"))
    mel, lf0, face, speech = (torch.from_numpy(reference[f"in.{name}"]) for name in ("mel", "lf0", "face", "speech"))
    z, context, indices = model.encode_content(mel)
    recalled, address = model.recall_face(face)
    mixed, mixed_address = model.mix_faces(face, torch.tensor([0.4, 0.6]))
    heard, heard_address = model.recall_voice(speech)
    before, after = model.decode_both(z, lf0, recalled)
    found = {
        "encoder.z": z,
        "encoder.c": context,
        "encoder.indices": indices,
        "memory.face_recall": recalled,
        "memory.face_log_address": address.log(),
        "memory.interpolated_0.4": mixed,
        "memory.interpolated_address_0.4": mixed_address,
        "memory.speech_emb": model.embed_voice(speech),
        "memory.speech_recall": heard,
        "memory.speech_log_address": heard_address.log(),
        "decoder.before_postnet": before,
        "decoder.mel": after,
    }
    assert [name for name, value in found.items() if not close(value, reference[name])] == []
    assert torch.equal(model.decode(z, lf0, recalled), after)
    assert load_checkpoint(tmp_path / "model").embedders["face"]["embedder"] == "facenet"


def test_statistics_sizes_and_header(published, tmp_path):
    folder = imported(published, "fvmvc", tmp_path / "model", origin="drawn\nat random")
    loaded = load_checkpoint(folder)
    statistics = np.load(published["stats"]).astype(np.float32)
    assert np.array_equal(loaded.model.mel_mean.numpy(), statistics[0])
    assert np.array_equal(loaded.model.mel_std.numpy(), statistics[1])
    assert (loaded.stage, loaded.origin, loaded.frontend.mel) == ("import-checkpoint", "drawn at random", "fvmvc")
    assert loaded.config.model.slots == 96
    assert sorted(p.name for p in folder.iterdir()) == ["config.yaml", "metrics.json", WEIGHTS]


@torch.no_grad()
def test_vqmivc_speaks_with_voices_and_says_that_its_faces_are_random(published, reference, tmp_path):
    loaded = load_checkpoint(imported(published, "vqmivc", tmp_path / "model"))
    assert (loaded.config.model.speaker_encoder, loaded.config.model.normalise_mel_embedding) == ("mel", False)
    assert loaded.embedders == {}
    assert "random" in loaded.origin
    mel = torch.from_numpy(reference["in.mel"])
    embedding = loaded.model.embed_voice(mel)
    assert not torch.allclose(embedding.norm(dim=1), torch.ones(len(embedding)))  # VQMIVC leaves its length alone
    assert close(torch.nn.functional.normalize(embedding, dim=-1), reference["encoder_spk_mel.normalized"])
    again = load_checkpoint(imported(published, "vqmivc", tmp_path / "again"))
    assert torch.equal(loaded.model.memory.keys, again.model.memory.keys)


def test_smaller_models_are_sized_by_their_tensors(tmp_path):
    ours = load_model(tiny_checkpoint(tmp_path / "tiny"))
    _publish(ours, tmp_path / "small.pt")
    np.save(tmp_path / "stats.npy", np.stack([ours.mel_mean.numpy(), ours.mel_std.numpy()]))
    imported(
        {"fvmvc": tmp_path / "small.pt", "stats": tmp_path / "stats.npy"}, "fvmvc", tmp_path / "model", preset="toy"
    )
    model = load_model(tmp_path / "model")
    assert model.config == ours.config
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in ours.state_dict().items())
    with pytest.raises(FaceVCError, match="do not fit the configuration"):
        imported(
            {"fvmvc": tmp_path / "small.pt", "stats": tmp_path / "stats.npy"},
            "fvmvc",
            tmp_path / "other",
            overrides=("model.slots=3",),
        )


def _publish(model: torch.nn.Module, path: Path) -> None:
    """Our weights under the published names."""
    scopes: dict[str, dict[str, torch.Tensor]] = {"encoder": {}, "encoder_spk": {}, "decoder": {}}
    for key, value in model.state_dict().items():
        part, _, rest = key.partition(".")
        if part == "content_encoder":
            rest = (
                rest.replace("layers.", "encoder.")
                .replace("context.", "rnn.")
                .replace("quantizer.counts", "codebook.ema_count")
            )
            scopes["encoder"][
                rest.replace("quantizer.sums", "codebook.ema_weight").replace("quantizer.", "codebook.")
            ] = value
        elif part == "memory":
            scopes["encoder_spk"][{"values": "speech_value_memory", "keys": "face_key_memory"}[rest]] = value
        elif part in ("speaker_encoder", "face_encoder"):
            name, _, kind = rest.partition(".")
            scopes["encoder_spk"][f"{part.replace('speaker', 'speech')}.{name}.linear_layer.{kind}"] = value
        elif part == "decoder":
            prefix = "" if rest.startswith("postnet") else "decoder."
            rest = (
                rest.replace("lstm_in", "lstm1")
                .replace("lstm_out", "lstm2")
                .replace("projection", "linear_projection.linear_layer")
            )
            scopes["decoder"][prefix + rest.replace(".conv.", ".0.conv.").replace(".norm.", ".1.")] = value
    torch.save(scopes, path)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.ones((80, 2)), r"expected a \(2, 80\) array"),
        (np.zeros((2, 80)), "above zero"),
        (np.full((2, 80), np.nan), "finite"),
        (np.array([["a"] * 80] * 2), "not a .npy array of numbers, but <U1"),
        (np.array([{}], dtype=object), "not a .npy array"),
        (b"text", "not a .npy array"),
        (b"", "not a .npy array"),
    ],
    ids=["turned", "zero", "nan", "text", "object", "other", "empty"],
)
def test_bad_statistics_are_refused(published, tmp_path, array, fault):
    if isinstance(array, bytes):
        (tmp_path / "stats.npy").write_bytes(array)
    else:
        np.save(tmp_path / "stats.npy", array, allow_pickle=True)
    with pytest.raises(FaceVCError, match=fault):
        imported({**published, "stats": tmp_path / "stats.npy"}, "fvmvc", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_missing_and_needless_options(published, tmp_path):
    with pytest.raises(UsageError, match="--stats"):
        run(ImportCheckpointConfig(source=published["fvmvc"], output=tmp_path / "model"))
    own = tiny_checkpoint(tmp_path / "own")
    with pytest.raises(UsageError, match="Leave --stats and --set out"):
        run(ImportCheckpointConfig(source=own, output=tmp_path / "model", stats=published["stats"]))
    with pytest.raises(FaceVCError, match="expected a checkpoint"):
        run(ImportCheckpointConfig(source=tmp_path, output=tmp_path / "model"))
    scopes = {"encoder": "conv.weight", "encoder_spk": "face_key_memory", "decoder": "decoder.lstm1.weight_hh_l0"}
    torch.save({scope: {key: torch.zeros(2, 3, 4)} for scope, key in scopes.items()}, tmp_path / "x.pt")
    with pytest.raises(FaceVCError, match="missing or misshapen"):
        run(ImportCheckpointConfig(source=tmp_path / "x.pt", output=tmp_path / "model", stats=published["stats"]))


def test_own_run_is_exported_without_training_state_and_in_half(tmp_path):
    run_folder = tmp_path / "run"
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    source.metrics, source.step = {"best_loss": 0.5}, 7
    save_checkpoint(run_folder / "checkpoints" / "best", source, {"optimiser": {"x": torch.zeros(3)}})
    assert (run_folder / "checkpoints/best" / TRAINING).is_dir()
    summary = run(ImportCheckpointConfig(source=run_folder, output=tmp_path / "model", half=True, origin="ours"))
    loaded = load_checkpoint(tmp_path / "model")
    assert not (tmp_path / "model" / TRAINING).exists()
    assert (loaded.stage, loaded.step, loaded.origin, loaded.metrics["best_loss"]) == ("train", 7, "ours", 0.5)
    assert loaded.embedders == source.embedders
    assert set(loaded.metrics["imported"]) == {
        "source",
        "half",
        "origin",
    }  # a preset, settings and statistics are asked for with published weights alone
    state = loaded.model.state_dict()
    for key, value in source.model.state_dict().items():
        assert state[key].dtype == value.dtype  # float32 again
        assert torch.equal(state[key], value.half().to(value.dtype) if value.is_floating_point() else value)
    whole = (run_folder / "checkpoints/best" / WEIGHTS).stat().st_size
    assert summary.data["bytes"] < 0.6 * whole


def test_what_half_cannot_hold_is_refused(tmp_path):
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    source.model.get_buffer("content_encoder.quantizer.counts").fill_(1e6)
    save_checkpoint(tmp_path / "big", source)
    with pytest.raises(FaceVCError, match=r"quantizer\.counts: values above 65504"):
        run(ImportCheckpointConfig(source=tmp_path / "big", output=tmp_path / "model", half=True))


def test_existing_outputs(tmp_path):
    own, other = tiny_checkpoint(tmp_path / "own"), tiny_checkpoint(tmp_path / "other", seed=1)
    assert run(ImportCheckpointConfig(source=own, output=tmp_path / "model")).done == 1
    assert run(ImportCheckpointConfig(source=own, output=tmp_path / "model")).skipped == 1
    with pytest.raises(FaceVCError, match="--overwrite"):
        run(ImportCheckpointConfig(source=other, output=tmp_path / "model"))
    assert run(ImportCheckpointConfig(source=other, output=tmp_path / "model", overwrite=True)).done == 1
    with pytest.raises(FaceVCError, match="the source itself"):
        run(ImportCheckpointConfig(source=own, output=own, half=True, overwrite=True))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(FaceVCError, match="would be lost"):
        run(ImportCheckpointConfig(source=own, output=tmp_path / "mine", overwrite=True))
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
