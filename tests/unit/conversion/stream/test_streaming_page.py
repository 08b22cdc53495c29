"""The snippet of docs/streaming.md runs, and says the latency of the page's table."""

import re

import numpy as np
import soundfile
from helpers.pictures import draw_face
from helpers.repository import ROOT
from helpers.sounds import recording

from facevc_cli.files.image import save_image


def test_the_snippet_runs(converter, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_image(tmp_path / "face.jpg", draw_face(0))
    for name, seconds in (("my_voice.wav", 1.0), ("speech.wav", 0.5)):
        recording(tmp_path / name, seconds, 48000)
    monkeypatch.setattr("facevc_cli.Converter", lambda: converter, raising=False)
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8"), re.S)
    exec(compile(snippet, "docs/streaming.md", "exec"), {})
    made, rate = soundfile.read("converted.wav")
    assert (len(made), rate) == (24000, 48000) and np.abs(made).max() > 0.01
    # 46 ms, 70 ms, 17 ms and 1.5 ms
    assert 0.133 < float(capsys.readouterr().out) < 0.136
