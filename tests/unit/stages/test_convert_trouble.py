"""Converting a folder where something is in the way: full disks, folders that cannot be written to, links, names, other
runs, other settings.
"""

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import soundfile
from helpers.checkpoints import checkpoint
from helpers.conversions import config, table
from helpers.pictures import save_grey
from helpers.repository import TESTS
from helpers.sounds import recording

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import ADDRESSES, MANIFEST
from facevc_cli.manifest.manifest import LOCK, Manifest, read_addresses
from facevc_cli.provenance import saving
from facevc_cli.stages import benchmark
from facevc_cli.stages.convert import run

pytestmark = pytest.mark.usefixtures("analyser")


@pytest.fixture
def inputs(tmp_path):
    for name, seconds in (("a", 0.2), ("b", 1.5), ("c", 0.2)):
        recording(tmp_path / "wavs" / f"{name}.wav", seconds)
    for name, value in {"eve": 90, "bob": 160}.items():
        save_grey(tmp_path / "faces" / f"{name}.png", value)
    return tmp_path


@pytest.fixture
def go(inputs, model):
    def convert(system=None, **changes):
        conversions = config(inputs, model, **changes)
        return (
            benchmark.run(benchmark.BenchmarkConfig(conversions=conversions, system=system))
            if system
            else run(conversions)
        )

    return convert


def hidden(folder):
    return [path for path in folder.rglob(".*")]


ALL = {f"{source}__{face}.wav" for source in "abc" for face in ("bob", "eve")}


# the inputs themselves


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_source_is_never_overwritten(inputs, go, overwrite):
    before = {path: path.read_bytes() for path in (inputs / "wavs").iterdir()}
    one = {"sources": (inputs / "wavs/a.wav",), "faces": (inputs / "faces/eve.png",), "overwrite": overwrite}
    for named in ({"output": inputs / "wavs", "name": "{source}.wav"}, {"output": inputs / "wavs/a.wav"}):
        with pytest.raises(FaceVCError, match=r"wavs/a\.wav is itself one of the inputs\. Choose another output"):
            go(**one, **named)
    assert {path: path.read_bytes() for path in (inputs / "wavs").iterdir()} == before


# the disk


@contextlib.contextmanager
def files_up_to(size):
    """As on a full disk, but for the error's name: no file of this process grows beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_does_not_fit_fails_alone_and_is_made_later(inputs, go, suffix):
    with files_up_to(20_000):  # b has 66,000 bytes, as FLAC at least 25,000
        summary = go(name="{source}__{target}" + suffix)
    assert summary.done == 4 and [item for item, _ in summary.failures] == [f"b__bob{suffix}", f"b__eve{suffix}"]
    assert all("could not be written: File too large. Free space" in reason for _, reason in summary.failures)
    assert not list((inputs / "out").glob("b*")) and not hidden(inputs / "out")
    rest = go(name="{source}__{target}" + suffix)
    assert (rest.done, rest.skipped, rest.failures) == (2, 4, [])


def test_no_room_for_the_manifest_ends_the_run(inputs, go, monkeypatch):
    monkeypatch.setattr(Converter, "hear", None)  # any work would be a TypeError
    with files_up_to(100), pytest.raises(FaceVCError, match=r"manifest\.csv could not be written: File too large"):
        go()
    assert list((inputs / "out").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write to")
@pytest.mark.parametrize("output", ["/proc/facevc", "/proc/facevc.wav"])
def test_a_folder_that_cannot_be_written_to_is_found_before_any_work(go, output, monkeypatch):
    monkeypatch.setattr(Converter, "hear", None)
    with pytest.raises(FaceVCError, match=r"/proc.* could not be written: .*choose another output"):
        go(output=Path(output), limit=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("output", ["locked", "locked/o.wav", "locked/new/o.wav"])
def test_a_read_only_folder(inputs, go, output):
    (inputs / "locked").mkdir()
    (inputs / "locked").chmod(0o555)
    with pytest.raises(FaceVCError, match="could not be written: Permission denied"):
        go(output=inputs / output, limit=1)


# what other runs left, or do at the same time


@pytest.mark.slow
def test_what_a_killed_run_left_is_taken_away(inputs, go):
    out = inputs / "out"
    out.mkdir()
    left, young, other = (out / name for name in (".a__bob.0123abcd.tmp.wav", ".a__bob.4567abcd.tmp.wav", ".notes.tmp"))
    for path in (left, young, other):
        path.write_bytes(b"x")
    for path in (left, other):
        os.utime(path, (time.time() - 90,) * 2)
    assert go().done == 6 and set(hidden(out)) == {young, other}
    with contextlib.suppress(RuntimeError), atomic_path(left) as temporary:  # such names are what is looked for
        temporary.write_bytes(b"x")
        os.utime(temporary, (time.time() - 90,) * 2)
        assert go(overwrite=True, limit=1).done == 1 and not temporary.exists()
        raise RuntimeError


def test_what_is_being_written_when_control_c_comes_is_finished(inputs, go, monkeypatch):
    speak, save, spoken = Converter.speak_many, saving.save_audio, []

    def interrupted(self, pairs):
        spoken.append(1)
        if len(spoken) == 3:
            raise KeyboardInterrupt
        return speak(self, pairs)

    monkeypatch.setattr(Converter, "speak_many", interrupted)
    monkeypatch.setattr(saving, "save_audio", lambda *given: (time.sleep(0.3), save(*given)))
    with pytest.raises(KeyboardInterrupt):
        go()
    assert (
        set(table(inputs / "out"))
        == {path.name for path in (inputs / "out").glob("*.wav")}
        == {"a__bob.wav", "a__eve.wav"}
    )
    assert not hidden(inputs / "out")


@pytest.mark.slow
def test_two_runs_on_one_folder_keep_each_other_s_rows(inputs, go, monkeypatch):
    """The second begins and ends while the first is at work."""
    speak, began = Converter.speak_many, []

    def speaking(self, pairs):
        if not began:
            began.append(1)
            assert go(faces=(inputs / "faces" / "eve.png",), system="theirs").done == 3
        return speak(self, pairs)

    monkeypatch.setattr(Converter, "speak_many", speaking)
    assert go(faces=(inputs / "faces" / "bob.png",), system="ours").done == 3
    rows = {row["converted"]: row for row in read_table(inputs / "out" / MANIFEST)}
    assert set(rows) == ALL and {row["status"] for row in rows.values()} == {"done"}
    assert rows["a__eve.wav"]["system"] == "theirs" and rows["a__bob.wav"]["system"] == "ours"
    assert {Path(face).stem for face in read_addresses(inputs / "out" / ADDRESSES)[0]} == {"bob", "eve"}


def test_rows_taken_out_stay_out(tmp_path):
    first = Manifest(tmp_path)
    for name in ("x", "y"):
        first.put({"converted": name, "status": "done", "key": "k", "system": "old"})
    first.save()
    second = Manifest(tmp_path)
    second.forget(lambda line: line["converted"] == "x")
    second.rename({"old"}, "new")
    first.put({"converted": "z", "status": "done", "key": "k", "system": "old"})
    first.save()
    second.save()
    assert {row["converted"]: row["system"] for row in read_table(tmp_path / MANIFEST)} == {"y": "new", "z": "old"}


def test_manifests_are_written_one_after_the_other(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.put({"converted": "x", "status": "done", "key": "k"})
    thread = threading.Thread(target=manifest.save)
    with exclusive_lock(tmp_path / LOCK, "the manifest"):
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and not (tmp_path / MANIFEST).exists()
    thread.join(10)
    assert set(table(tmp_path)) == {"x"}


# what is there already


def test_what_is_in_the_way_says_how_it_was_made(inputs, go, tmp_path):
    assert go(limit=1, sources=(inputs / "wavs" / "a.wav",), watermark=True).done == 1
    one = {"limit": 1, "sources": (inputs / "wavs" / "a.wav",)}
    bob = (inputs / "faces" / "bob.png").read_bytes()
    for changes, how in (
        ({"watermark": False}, "with other settings"),
        ({"temperature": 0.5}, "with other settings"),
        ({"vocoder": "auto"}, "with other settings"),
        ({"checkpoint": checkpoint(tmp_path / "other", "starter", seed=1)}, "from another model"),
    ):
        with pytest.raises(FaceVCError, match=rf"a__bob\.wav is there already, made {how}[ .].*--overwrite"):
            go(**one, **changes)
    (inputs / "faces" / "bob.png").write_bytes((inputs / "faces" / "eve.png").read_bytes())
    with pytest.raises(FaceVCError, match=r"made from another face or voice\. Pass"):
        go(**one)
    recording(inputs / "wavs" / "a.wav", 0.25)
    with pytest.raises(FaceVCError, match=r"made from another source and another face or voice\. Pass"):
        go(**one)
    (inputs / "faces" / "bob.png").write_bytes(bob)
    with pytest.raises(FaceVCError, match=r"made from another source\. Pass"):
        go(**one)
    recording(inputs / "out" / "a__bob.wav", 0.1)
    with pytest.raises(FaceVCError, match="made not by this command"):
        go(**one)


def test_sidecars_asked_for_later_are_added(inputs, go):
    assert go().done == 6 and not list((inputs / "out").glob("*.json"))
    (inputs / "out" / "a__bob.wav.json").write_text("mine")
    assert go(sidecar=True).skipped == 6
    assert {path.name for path in (inputs / "out").glob("*.json")} == {f"{name}.json" for name in ALL}
    said = json.loads((inputs / "out" / "c__eve.wav.json").read_text())
    assert (
        said["synthetic"] is True
        and said["file"] == "c__eve.wav"
        and (inputs / "out" / "a__bob.wav.json").read_text() == "mine"
    )


# links and names


def test_links_do_not_lead_out_of_the_folder(inputs, go):
    elsewhere = recording(inputs / "elsewhere" / "a__bob.wav", 0.1)
    before = elsewhere.read_bytes()
    recording(inputs / "wavs" / "sub" / "d.wav", 0.2)
    (inputs / "out").mkdir()
    for link, to in (("sub", elsewhere.parent), ("a__bob.wav", elsewhere)):
        (inputs / "out" / link).symlink_to(to)
        for overwrite in (False, True):
            with pytest.raises(FaceVCError, match="leads outside .*remove the link"):
                go(overwrite=overwrite)
        (inputs / "out" / link).unlink()
    assert elsewhere.read_bytes() == before and len(list(elsewhere.parent.iterdir())) == 1
    named = inputs / "named.wav"
    named.symlink_to(elsewhere)
    assert go(output=named, limit=1, overwrite=True).done == 1
    assert not named.is_symlink() and elsewhere.read_bytes() == before  # the link is replaced, not what it points to


@pytest.mark.slow
def test_links_among_the_sources(inputs, go):
    recording(inputs / "far" / "d.wav", 0.2)
    (inputs / "wavs" / "near.wav").symlink_to(inputs / "far" / "d.wav")
    (inputs / "wavs" / "dead.wav").symlink_to(inputs / "nowhere.wav")
    (inputs / "wavs" / "loop").symlink_to(inputs / "wavs")
    assert go().done == 8 and set(table(inputs / "out")) == ALL | {"near__bob.wav", "near__eve.wav"}


def test_a_name_that_is_too_long_fails_alone(inputs, go):
    recording(inputs / "wavs" / f"{'x' * 248}.wav", 0.2)
    for done in (6, 0):  # again: nothing of it is there, and the question alone is an error
        summary = go()
        assert (
            summary.done == done
            and len(summary.failures) == 2
            and all("File name too long" in reason for _, reason in summary.failures)
        )
    for output in (inputs / ("y" * 260), inputs / f"{'y' * 260}.wav"):
        with pytest.raises(UsageError, match="--out .*File name too long"):
            go(output=output, limit=1)


# one command, as scripts see it

COMMAND = """
import sys
sys.path[:0] = {path!r}
from helpers.networks import FakeAnalyser
from facevc_cli.faces import analyser
analyser.make_analyser = lambda *_: FakeAnalyser()
from facevc_cli.cli.app import main
main()
"""


@pytest.fixture
def command(inputs, model):
    script = inputs / "convert.py"
    script.write_text(COMMAND.format(path=[str(TESTS)]))

    def call(*arguments, given=None):
        whole = [
            sys.executable,
            script,
            "convert",
            "--checkpoint",
            model,
            "--vocoder",
            "griffin-lim",
            "-d",
            "cpu",
            *arguments,
        ]
        return subprocess.run(whole, input=given, capture_output=True, cwd=inputs, check=False, timeout=120)

    return call


@pytest.mark.slow
def test_a_pipe_carries_sound_and_nothing_else(inputs, command):
    done = command(
        "-", "--face", "faces/bob.png", "-o", "-", "-v", "--json", given=(inputs / "wavs" / "a.wav").read_bytes()
    )
    assert done.returncode == 0 and b"done  converted.wav" in done.stderr
    wav, rate = soundfile.read(io.BytesIO(done.stdout))
    assert (
        rate == 22050 and len(wav) == 4410 and len(done.stdout) == int.from_bytes(done.stdout[4:8], "little") + 8
    )  # not a byte besides the file's
    failed = command("-", "--face", "faces/bob.png", "-o", "-", given=b"no sound")
    assert failed.returncode == 1 and failed.stdout == b"" and b"Traceback" not in failed.stderr


@pytest.mark.slow
def test_json_lines_and_odd_names(inputs, command):
    """Names that look like options, formats or several lines; one of the pictures is none."""
    odd = ["-o", "--face", "it's", 'say "hi"', "two\nlines", "a b", "ü 日本", "x=.4", "{0}[red]"]
    for name in odd:
        recording(inputs / "odd" / f"{name}.wav", 0.1)
    (inputs / "odd" / "-.png").write_bytes(b"no picture")
    done = command("--json", "--face", "odd/-.png", "--face", "faces/bob.png", "-o", "out", "--", "odd")
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    *items, summary = [json.loads(line) for line in done.stdout.decode().splitlines()]
    made = {f"out/{name}__bob.wav": "done" for name in odd} | {f"out/{name}__-.wav": "failed" for name in odd}
    assert {item["converted"]: item["status"] for item in items} == made and all(
        item["type"] == "item" for item in items
    )
    assert (summary["type"], summary["done"], len(summary["failures"])) == ("summary", len(odd), len(odd))
    assert {row["converted"]: row["status"] for row in read_table(inputs / "out" / MANIFEST)} == {
        name[4:]: status for name, status in made.items()
    }


# memory


def test_what_is_done_with_is_let_go(inputs, go, monkeypatch):
    """However many sources there are, few are in memory."""
    for i in range(20):
        recording(inputs / "many" / f"{i:02}.wav", 0.1)
    kept: list[weakref.ref] = []
    alive = []
    for name in ("hear", "encode", "speak_many"):
        method = getattr(Converter, name)

        def noting(self, *given, method=method):
            made = method(self, *given)
            kept.extend(map(weakref.ref, made if isinstance(made, list) else [made]))
            return made

        monkeypatch.setattr(Converter, name, noting)
    save = saving.save_audio
    monkeypatch.setattr(
        saving, "save_audio", lambda *given: (save(*given), alive.append(sum(ref() is not None for ref in kept)))
    )
    assert go(sources=(inputs / "many",)).done == 40 and len(kept) == 20 + 20 + 40
    assert max(alive) <= 2 * 2 + 6  # heard and encoded, this one and the next; waiting for the disk
