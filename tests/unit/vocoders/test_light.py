"""The light vocoder: what it refuses, how far a frame reaches, and that windows make no seams."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers.vocoders import write_light

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.settings import to_dict
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.vocoders import vocode_long, vocode_many
from facevc_cli.vocoders.hifigan import HifiganSizes, lower_rank
from facevc_cli.vocoders.light import load_light
from facevc_cli.vocoders.load import load_vocoder

TINY = HifiganSizes(
    channels=16,
    rates=(8, 8, 4),
    kernels=(16, 16, 8),
    block_kernels=(3,),
    block_dilations=((1, 8),),
    ranks=((8, 8), *((4, 3),) * 4, (8, 2), *((2, 4),) * 4, *((2, 1),) * 5),
)
SIZES = to_dict(TINY)
HIFIGAN = MEL_DEFINITIONS["hifigan"]


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, "expected 'vocoder: light' of format 2, found 'light' of format 1"),
        ({"vocoder": "heavy"}, "expected 'vocoder: light'"),
        ({"audio": None}, "audio: expected dict, found None"),
        ({"step": "many"}, "step: expected int"),
        ({"audio": {**HIFIGAN.as_settings(), "rate": 24000}}, "rate 24000 instead of 22050"),
        ({"sizes": {"chanels": 16}}, "has no setting 'chanels'"),
        ({"sizes": {"channels": "16"}}, "channels: expected int"),
        ({"sizes": {**SIZES, "channels": 0}}, "channels: expected at most"),
        ({"sizes": {**SIZES, "ranks": [[1, 3]]}}, "expected 15 pairs of ranks, found 1 items"),
        ({"sizes": {**SIZES, "ranks": [[4, 0] for _ in range(15)]}}, "ranks: expected at most"),
        ({"sizes": {**SIZES, "ranks": [[4] for _ in range(15)]}}, "ranks"),
        ({"sizes": {**SIZES, "channels": 16384, "kernels": [999, 999, 999]}}, "does not fit the generator"),
        ({"sizes": {**SIZES, "ranks": [[4, 4] for _ in range(15)]}}, "does not fit the generator"),
        ({"weights_sha256": "0" * 64}, "the file is damaged or of another training"),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, changes: dict[str, object], message: str):
    folder = write_light(tmp_path / "light", TINY)
    change_config(folder, **changes)
    with pytest.raises(FaceVCError, match=message) as caught:
        load_light(folder, "hifigan")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_damage_is_refused(tmp_path: Path):
    folder = write_light(tmp_path / "light", TINY)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(FaceVCError, match="the file is damaged"):
        load_light(folder, "hifigan")
    weights.unlink()
    with pytest.raises(FaceVCError, match="found no file"):
        load_light(folder, "hifigan")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path):
    folder = write_light(tmp_path / "light", TINY, spoil=True)
    with pytest.raises(FaceVCError, match=r"'conv_post\.bias' holds NaN or infinity"):
        load_light(folder, "hifigan")


def test_log_mels_of_another_definition_are_refused(tmp_path: Path):
    folder = write_light(tmp_path / "light", TINY)
    with pytest.raises(FaceVCError, match="trained on other log-mels than the mel definition 'fvmvc'"):
        load_vocoder(folder, "fvmvc")


def test_its_context_is_the_reach_of_its_layers(tmp_path: Path):
    vocoder = load_light(write_light(tmp_path / "light", TINY), "hifigan")
    for weight in vocoder.generator.resblocks.parameters():
        weight.mul_(2)  # so that what crosses several layers is not rounded away
    reach = vocoder.context_frames
    log_mel = torch.randn(60, 80, generator=torch.Generator().manual_seed(0))
    before = vocoder(log_mel)
    log_mel[30] += 1
    changed = (vocoder(log_mel) != before).nonzero()
    assert (30 - reach) * 256 <= int(changed.min()) < (30 - reach + 2) * 256
    assert (30 + reach - 2) * 256 <= int(changed.max()) < (30 + reach + 1) * 256


@pytest.mark.parametrize("frames", [1, 2, 17, 100, 333])
def test_windows_equal_the_whole(tmp_path: Path, frames: int):
    vocoder = load_light(write_light(tmp_path / "light", TINY), "hifigan")
    log_mel = torch.randn(frames, 80, generator=torch.Generator().manual_seed(1)) * 2 - 5
    whole = vocoder(log_mel)
    assert whole.shape == (frames * 256,) and whole.std() > 1e-3
    torch.testing.assert_close(vocode_long(vocoder, log_mel, chunk_frames=30), whole, atol=1e-6, rtol=0)
    several = vocode_many(vocoder, [log_mel, torch.cat([log_mel] * 13), log_mel], batch=2)
    torch.testing.assert_close(several[0], whole, atol=1e-6, rtol=0)
    assert [len(wav) for wav in several] == [frames * 256, 13 * frames * 256, frames * 256]


def test_a_rank_leaves_out_what_would_not_make_a_layer_smaller():
    conv = torch.nn.Conv2d(6, 8, (1, 3), padding=(0, 2), dilation=(1, 2))
    assert lower_rank(conv, None) is conv and lower_rank(conv, (6, 9)) is conv
    parts = {rank: [name for name, _ in lower_rank(conv, rank).named_children()] for rank in ((2, 8), (6, 3), (2, 3))}
    assert parts == {(2, 8): ["reduce", "kernel"], (6, 3): ["kernel", "expand"], (2, 3): ["reduce", "kernel", "expand"]}
    up = torch.nn.ConvTranspose2d(6, 8, (1, 5), (1, 2), padding=(0, 2), output_padding=(0, 1))
    for whole in (conv, up):
        low = lower_rank(whole, (2, 3))
        assert low(torch.zeros(1, 6, 1, 10)).shape == whole(torch.zeros(1, 6, 1, 10)).shape
        assert sum(p.numel() for p in low.parameters()) < sum(p.numel() for p in whole.parameters())


def test_a_folder_a_file_in_it_and_half_precision_load(tmp_path: Path):
    exact = load_vocoder(write_light(tmp_path / "light", TINY), "hifigan")
    half_folder = write_light(tmp_path / "half", TINY, dtype=torch.float16)
    half = load_vocoder(str(half_folder / "model.safetensors"), "hifigan")
    assert half.name.startswith("light ") and half.name != exact.name
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in half.parameters())
    log_mel = torch.randn(40, 80, generator=torch.Generator().manual_seed(2)) * 2 - 5
    torch.testing.assert_close(half(log_mel), exact(log_mel), atol=5e-3, rtol=0)
