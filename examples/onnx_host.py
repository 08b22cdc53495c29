"""Converts a recording with the files of `facevc export`. It needs numpy, soundfile and onnxruntime, and no torch.

python onnx_host.py EXPORTED_FOLDER SPEECH.wav OUT.wav
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile


def convert(folder: Path, source: str, output: str) -> None:
    model, voice = (json.loads((folder / name).read_text()) for name in ("model.json", "voice.json"))
    graphs = {name: onnxruntime.InferenceSession(folder / model["graphs"][name]["file"]) for name in model["order"]}

    def run(name: str, *inputs: np.ndarray) -> np.ndarray:
        names = [graph_input.name for graph_input in graphs[name].get_inputs()]
        return graphs[name].run(None, dict(zip(names, inputs, strict=True)))[0]

    channels, file_rate = soundfile.read(source, dtype="float32", always_2d=True)
    wav, rate = channels.mean(1), model["rate"]
    if file_rate != rate:  # by the spectrum of the whole, as numpy has no other way
        count = round(len(wav) * rate / file_rate)
        wav = (np.fft.irfft(np.fft.rfft(wav), count) * count / len(wav)).astype(np.float32)
    start, end = find_sound(wav, model["trim_db"])
    sound = wav[start:end]
    prepared = sound * np.float32(model["peak"] / max(0.05, np.abs(sound).max()) if model["peak"] else 1)
    content, f0 = run("content", run("mel", prepared)), run("pitch", prepared)
    log_f0 = np.log(f0[f0 > 0]) if f0.any() else np.array([5.0])
    movement = np.where(f0 > 0, (np.log(np.maximum(f0, 1)) - log_f0.mean()) / max(log_f0.std(), 0.01), 0)
    voices = [np.array(voice["voice"])]
    if model["guidance"]:  # the result is moved away from what the source's own voice would give
        voices.append(run("voice", prepared[: model["guiding_s"] * rate])[0])
    size = len(voices)
    given = [np.repeat(content, size, 0), np.tile(movement, (size, 1)), np.array(voices)]
    given += [np.full(size, voice["log_f0_mean"]), np.full(size, log_f0.std())]
    given += [np.repeat([voice["recording"]], size, 0)] if voice["recording"] else []
    made = run("decoder", *(array.astype(np.float32) for array in given))
    log_mel = made[0] + model["guidance"] * (made[0] - made[-1])
    log_mel = log_mel.mean(0) + model["variance_scale"] * (log_mel - log_mel.mean(0))
    spoken = run("vocoder", log_mel[None].astype(np.float32))[0][: len(sound)]
    gain = min(np.sqrt((sound**2).mean() / (spoken**2).mean()), model["most_peak"] / np.abs(spoken).max())
    result = np.pad(gain * spoken, (start, len(wav) - start - len(spoken))).astype(np.float32)
    with soundfile.SoundFile(output, "w", rate, 1) as file:  # synthetic speech must be marked
        file.comment = f"synthetic speech: voice converted with the model {model['model']} of facevc"
        file.write(run("mark", result, np.zeros(1, np.int64)))


def find_sound(wav: np.ndarray, trim_db: float | None) -> tuple[int, int]:  # without the silence at both ends
    padded = np.pad(wav.astype(np.float64) ** 2, (1025, 2048))
    power = np.diff(np.cumsum(padded)[np.arange(0, len(wav) + 1, 512)[:, None] + [0, 2048]])[:, 0] / 2048
    loud = np.flatnonzero(power > max(power.max() * 10 ** (-(trim_db or np.inf) / 10), 1e-10))
    return (int(loud[0]) * 512, min(len(wav), int(loud[-1] + 1) * 512)) if len(loud) and trim_db else (0, len(wav))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), *sys.argv[2:4])
