"""Naturalness: the mean opinion score (1 to 5) that DistillMOS, or DNSMOS, predicts for a recording."""

import contextlib
import io
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import are_installed, install_command
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.metric import OPINION, Metric, Part, get_converted, get_source, make_source_baseline
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.manifest.conversion import Conversion

LONGEST_S = 60  # of each recording, from its start


class NaturalnessJudge(Protocol):
    """(n,) float32 at 16 kHz -> predicted MOS."""

    name: str

    def score(self, wav: np.ndarray) -> float: ...


class DistillMOS:
    """DistillMOS (Stahl and Gamper 2025), with the weights from its package."""

    name = "distillmos"
    made_with = ()

    def __init__(self) -> None:
        try:
            with _replace_torchaudio(), contextlib.redirect_stdout(io.StringIO()):
                from distillmos.sqa import MAX_HOP_LEN, SEQ_LEN, ConvTransformerSQAModel

                self._model = ConvTransformerSQAModel().eval()
                self._window, self._hop = SEQ_LEN, MAX_HOP_LEN
        except ImportError as error:
            raise FaceVCError(
                f"naturalness needs DistillMOS, which does not import here ({error}). Install it with "
                f"{install_command('eval')}."
            ) from error

    def score(self, wav: np.ndarray) -> float:
        """Average over windows of 7.7 s, a second or less apart, as DistillMOS places them.

        Windows run one at a time: a batch takes 250 MB for every three windows and is not faster.
        """
        import torch

        wav = np.ascontiguousarray(wav[: LONGEST_S * JUDGE_RATE], np.float32)
        spare = max(0, len(wav) - self._window)
        starts = [int(place * spare) for place in np.linspace(0, 1, -(-spare // self._hop) + 1)]
        with torch.inference_mode():
            return float(
                np.mean([float(self._model(torch.from_numpy(wav[i : i + self._window])[None])[0]) for i in starts])
            )


def is_distillmos_installed() -> bool:
    """Whether DistillMOS is installed."""
    return are_installed("distillmos", "xls_r_sqa")


class DNSMOS:
    """OVRL of DNSMOS P.835 (Reddy, Gopal and Cutler 2022), with the weights from the package speechmos."""

    name = "dnsmos"
    made_with = ()

    def __init__(self) -> None:
        try:
            from onnxruntime import InferenceSession, SessionOptions
            from speechmos import dnsmos
        except ImportError as error:
            raise FaceVCError(
                f"DNSMOS needs speechmos, which does not import here ({error}). Install it with "
                f"{install_command('eval')}."
            ) from error
        weights = Path(dnsmos.__file__).parent / "dnsmos_models"
        self._model = dnsmos.DNSMOS(str(weights / "sig_bak_ovr.onnx"), str(weights / "model_v8.onnx"))
        alone = SessionOptions()
        # the default pins a thread to each core and hangs if another process holds a core
        alone.intra_op_num_threads = 1
        self._model.onnx_sess = InferenceSession(weights / "sig_bak_ovr.onnx", alone)
        self._model.p808_onnx_sess = InferenceSession(weights / "model_v8.onnx", alone)

    def score(self, wav: np.ndarray) -> float:
        return float(self._model(np.clip(wav[: LONGEST_S * JUDGE_RATE], -1, 1), JUDGE_RATE, False)["ovrl_mos"])


def is_dnsmos_installed() -> bool:
    """Whether speechmos and its dependencies are installed."""
    return are_installed("speechmos", "onnxruntime", "requests")


def measure_naturalness(
    conversions: Sequence[Conversion], scores: Mapping[str, float], part: Part = get_converted
) -> Terms:
    """Predicted MOS of the conversions, by DistillMOS or DNSMOS. With `part` = get_source: that of the sources."""
    return Terms.of([(scores[part(c)], c) for c in conversions if part(c) in scores])


@contextlib.contextmanager
def _replace_torchaudio() -> Iterator[None]:
    """Replace torchaudio by an empty module if it does not import. DistillMOS needs it only for its own command."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
        try:
            yield
        finally:
            sys.modules.pop("torchaudio", None)
    else:
        yield


METRICS = (
    Metric(
        name="naturalness",
        better="higher",
        definition="Mean opinion score from 1 to 5, predicted by DistillMOS.",
        measure=lambda conversions, evidence: measure_naturalness(conversions, evidence.scores),
        scale=OPINION,
    ),
    make_source_baseline(
        "naturalness",
        lambda conversions, evidence: measure_naturalness(conversions, evidence.scores, get_source),
        OPINION,
    ),
    Metric(
        name="DNSMOS",
        better="higher",
        definition="Mean opinion score from 1 to 5, predicted by DNSMOS (P.835, overall).",
        measure=lambda conversions, evidence: measure_naturalness(conversions, evidence.dnsmos),
        scale=OPINION,
    ),
    make_source_baseline(
        "DNSMOS", lambda conversions, evidence: measure_naturalness(conversions, evidence.dnsmos, get_source), OPINION
    ),
)
