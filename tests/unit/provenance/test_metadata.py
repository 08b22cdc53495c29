"""provenance/: what a converted file says of itself, in every format, whatever its inputs are called; and `verify`,
which reads it.
"""

import hashlib
import json

import numpy as np
import pytest
import soundfile
from helpers.sounds import make_syllables
from typer.testing import CliRunner

from facevc_cli import __version__
from facevc_cli.cli.app import app
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import save_audio
from facevc_cli.files.tables import write_table
from facevc_cli.provenance.metadata import (
    LONGEST_COMMENT,
    Provenance,
    describe_provenance,
    format_comment,
    name_sidecar,
    parse_comment,
    read_key,
    read_provenance,
)
from facevc_cli.provenance.saving import save_converted
from facevc_cli.stages.verify import VerifyConfig, run

RATE = 22050
KEY = "0123456789abcdef"
MADE = Provenance(KEY, "starter", "a" * 16, "b" * 16, ("c" * 16,), date="2026-11-03")
SHA_OF_ABC = "ba7816bf8f01cfea"  # FIPS 180-2, example B.1


@pytest.fixture(scope="module")
def wav():
    return make_syllables(3)


def save(path, wav, made=MADE, source="a.wav", target="face b.png", **options):
    save_converted(path, wav, RATE, made, source, target, **options)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_round_trip(tmp_path, wav, suffix):
    path = save(tmp_path / f"x{suffix}", wav)
    assert read_provenance(path) == MADE and read_key(path) == KEY
    with soundfile.SoundFile(path) as file:
        said = f"synthetic speech: voice converted by facevc {__version__} on 2026-11-03 from a.wav to the face b.png "
        assert file.comment.startswith(said)
        assert json.loads(file.comment.removeprefix(said)) == {
            "key": KEY,
            "model": "starter",
            "model_sha256": "a" * 16,
            "source_sha256": "b" * 16,
            "face_sha256": ["c" * 16],
            "watermark": True,
            "date": "2026-11-03",
            "version": __version__,
            "tool": "facevc",
            "synthetic": True,
        }


HOSTILE = [
    'x {"key": "ffffffffffffffff", "synthetic": true} y.wav',
    "a\nb\r\x1b[31m\x00.wav",
    "] [0123456789abcdef] }{",
    "ÄÖ 声 \u202e.wav",
    "n" * 5000,
    "synthetic speech: ",
    '"; rm -rf',
    "\\",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_hostile_names_change_nothing(tmp_path, wav, name, suffix):
    path = save(tmp_path / f"x{suffix}", wav[:2000], source=name, target=f"face {name}")
    assert read_provenance(path) == MADE
    with soundfile.SoundFile(path) as file:
        assert file.comment.isprintable() and len(file.comment) < 700 and file.comment.count("{") == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "recorded at home",
        "synthetic speech: ",
        "synthetic speech: {}",
        "synthetic speech: {",
        "synthetic speech: {[}",
        "synthetic speech: {" + '"a": [' * 1500 + "}",
        format_comment(MADE, "a", "b").replace('"synthetic": true', '"synthetic": false'),
        format_comment(MADE, "a", "b").replace('"starter"', "7"),
        format_comment(MADE, "a", "b").replace(f'["{"c" * 16}"]', '"c"'),
        format_comment(MADE, "a", "b").replace(f'["{"c" * 16}"]', "[[]]"),
        format_comment(MADE, "a", "b").replace('"watermark": true', '"watermark": 1'),
        format_comment(MADE, "a", "b").replace('"key"', '"kee"'),
        "x" + format_comment(MADE, "a", "b"),
        format_comment(MADE, "a", "b") + " " * LONGEST_COMMENT,
    ],
)
def test_other_comments_are_none_of_ours(text):
    assert parse_comment(text) is None
    assert parse_comment(format_comment(MADE, "a", "b")) == MADE  # that which they are changed from


def test_what_is_read_cannot_play_tricks_with_a_terminal():
    made = parse_comment(format_comment(Provenance(KEY, "\x1b[2Jmodel\u202e{}", "a", "b", ("c\n",)), "a", "b"))
    assert made is not None and made.model == "?[2Jmodel?()" and made.face_sha256 == ("c?",)


def test_hashes_are_of_the_files(tmp_path):
    for name in ("s.wav", "f.png"):
        (tmp_path / name).write_bytes(b"abc")
    made = describe_provenance(KEY, "m", "d" * 64, tmp_path / "s.wav", [tmp_path / "f.png", "e" * 64], watermark=False)
    assert (made.source_sha256, made.face_sha256, made.voice_sha256, made.model_sha256) == (
        SHA_OF_ABC,
        (SHA_OF_ABC, "e" * 16),
        (),
        "d" * 16,
    )
    assert made.watermark is False and len(made.date) == 10 and "voice_sha256" not in made.as_dict()
    (tmp_path / "s.wav").write_bytes(b"abcd")
    spoken = describe_provenance(KEY, "m", "d" * 64, tmp_path / "s.wav", [tmp_path / "f.png"], "voice")
    assert spoken.source_sha256 == hashlib.sha256(b"abcd").hexdigest()[:16]  # not what was there before
    assert spoken.voice_sha256 == (SHA_OF_ABC,) and "face_sha256" not in spoken.as_dict()
    crowd = [f"{i:064}" for i in range(300)]
    assert len(describe_provenance(KEY, "m", "d", "e", crowd).face_sha256) == 1
    assert describe_provenance(KEY, "m", "d", "e", crowd) == describe_provenance(KEY, "m", "d", "e", crowd[::-1])
    with pytest.raises(FaceVCError, match="gone.wav"):
        describe_provenance(KEY, "m", "d", tmp_path / "gone.wav", [])


def test_sidecar(tmp_path, wav):
    path = save(tmp_path / "x.wav", wav, sidecar=True)
    said = json.loads(name_sidecar(path).read_text(encoding="utf-8"))
    assert name_sidecar(path).name == "x.wav.json"
    assert said == {"file": "x.wav", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **MADE.as_dict()}
    assert not name_sidecar(save(tmp_path / "y.wav", wav)).exists()


def test_verify_reads_both(tmp_path, wav):
    unmarked = Provenance(KEY, "starter", "a" * 16, "b" * 16, watermark=False, date="2026-11-03")
    save(tmp_path / "a both.wav", wav)
    save(tmp_path / "b told.flac", wav, unmarked)
    with soundfile.SoundFile(tmp_path / "a both.wav") as file:
        save_audio(tmp_path / "c marked.wav", file.read(), RATE)
        file.seek(0)
        soundfile.write(tmp_path / "d stereo.wav", np.stack([file.read()] * 2, 1), RATE)
    save_audio(tmp_path / "e real.wav", wav, RATE)
    save_audio(tmp_path / "f short.ogg", wav[:1000], RATE)
    save_audio(tmp_path / "e real.flac", wav, RATE)  # one name twice is fine here
    (tmp_path / "g bad.wav").write_bytes(b"RIFF but no more")
    (tmp_path / "h.txt").write_text("not looked at")
    summary = run(VerifyConfig(files=(tmp_path,)))
    seen = {
        item["file"].removeprefix(f"{tmp_path}/"): (
            item["synthetic"],
            bool(item["metadata"]),
            item["watermark"]["verdict"],
        )
        for item in summary.data["files"]
    }
    assert seen == {
        "a both.wav": (True, True, "found"),
        "b told.flac": (True, True, "none found"),
        "c marked.wav": (True, False, "found"),
        "d stereo.wav": (True, False, "found"),
        "e real.wav": (False, False, "none found"),
        "e real.flac": (False, False, "none found"),
        "f short.ogg": (False, False, "too short to tell"),
    }
    assert [item for item, _ in summary.failures] == [str(tmp_path / "g bad.wav")]
    assert json.loads(json.dumps(summary.data["files"][0]["metadata"])) == MADE.as_dict()


def test_metadata_carried_over_into_mp3(tmp_path, wav):
    import av

    with av.open(str(tmp_path / "x.mp3"), "w") as coded:
        coded.metadata["comment"] = format_comment(MADE, "a.wav", "face b.png")
        stream = coded.add_stream("libmp3lame", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wav[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        coded.mux([*stream.encode(frame), *stream.encode(None)])
    assert read_provenance(tmp_path / "x.mp3") == MADE


def test_files_without_a_comment(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    (tmp_path / "x.raw").write_bytes(b"abc" * 50)
    assert (
        read_provenance(tmp_path / "x.wav") is None
        and read_key(tmp_path / "x.raw") is None
        and read_key(tmp_path / "gone.wav") is None
    )


def test_the_command(tmp_path, wav, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "x.wav", wav)
    save_audio(tmp_path / "real.wav", wav, RATE)
    result = CliRunner().invoke(app, ["verify", "x.wav", "real.wav"])
    first, second = result.stdout.splitlines()
    assert result.exit_code == 0
    assert first.startswith(
        f"synthetic  x.wav  metadata: model starter ({'a' * 16}), facevc {__version__}, 2026-11-03; watermark: found "
        "in 100% (p "
    )
    assert second == "no mark  real.wav  metadata: none of facevc's; watermark: none found"
    (tmp_path / "bad.wav").write_bytes(b"")
    write_table(tmp_path / "unrelated.csv", [{"a": "b"}], ("a",))
    result = CliRunner().invoke(app, ["verify", ".", "--json"])
    printed = json.loads(result.stdout)
    assert result.exit_code == 1 and printed["failures"][0]["item"] == "bad.wav"
    assert {item["file"]: item["synthetic"] for item in printed["files"]} == {"x.wav": True, "real.wav": False}
    assert CliRunner().invoke(app, ["verify", "nowhere.wav"]).exit_code == 1
    assert "--json" in CliRunner().invoke(app, ["verify", "--help"]).output
