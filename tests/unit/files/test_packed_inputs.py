"""URLs, tar files and lhotse manifests: what is read, and above all what is not."""

import gzip
import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files import packed as packed_module
from facevc_cli.files import tar_shards, urls
from facevc_cli.files.inputs import AUDIO_SUFFIXES, SpeakerRule
from facevc_cli.files.packed import hash_input, open_input
from facevc_cli.files.packed_inputs import find_all_inputs
from facevc_cli.files.tar_shards import expand_braces, list_members

RATE = 8000

GZIPPED = gzip.compress(b"x" * 2000, mtime=0)


def find(*sources, **options):
    return find_all_inputs(sources, AUDIO_SUFFIXES, **options)


def read(source):
    with open_input(source) as local:
        return local.path.read_bytes()


@pytest.fixture
def bucket():
    """Files in fsspec's memory, below a folder that each test has for itself."""
    system = fsspec.filesystem("memory")
    for name, content in {
        "voices/anna/1.wav": b"one",
        "voices/anna/2.flac": b"two",
        "voices/bert/x.y.wav": b"three",
        "voices/bert/notes.txt": b"no sound",
        "secret/key.wav": b"secret",
    }.items():
        system.pipe(f"/bucket/{name}", content)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def make_tar(path: Path, *members: tuple[str, bytes], **fields) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            for field, value in fields.items():
                setattr(about, field, value)
            tar.addfile(about, io.BytesIO(content))
    return path


def write_lines(path: Path, *rows) -> Path:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def describe_recording(name: str, source: str, kind: str = "file", **more) -> dict:
    return {"id": name, "sources": [{"type": kind, "channels": [0], "source": source}], **more}


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.wav",
        "github://a:b@main/a.wav",
        "zip://a.wav::memory://bucket/a.zip",
        "memory://bucket/a::b.wav",
        "memory://bucket/../other/a.wav",
        "memory://",
        "reference://bucket/a.wav",
        "S3://bucket/a.wav",
    ],
)
def test_other_protocols_and_paths_that_lead_out_are_refused(url):
    with pytest.raises(FaceVCError, match="expected a"):
        find(url)


def test_files_of_another_machine_are_refused():
    with pytest.raises(FaceVCError, match="three slashes"):
        find("file://server/a.wav")


@pytest.mark.parametrize("root", ["http://example.org", "s3://", "absent", "file://server/x"])
def test_a_wrong_root_is_a_wrong_option(tmp_path, root):
    soundfile.write(tmp_path / "a.wav", np.zeros(10), RATE)
    with pytest.raises(UsageError, match=f"--root '?{root}"):
        find(tmp_path, root=root)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    def fail(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", fail)
    with pytest.raises(FaceVCError, match=r"Install s3fs.*facevc\[remote\]"):
        find("s3://bucket/a.wav")


def test_what_is_not_there_says_so(bucket, tmp_path):
    with pytest.raises(FaceVCError, match="no such file or folder"):
        find(f"{bucket}/absent")
    with pytest.raises(FaceVCError, match="holds no sound file"):
        find(make_tar(tmp_path / "a.tar", ("a.txt", b"x")))
    with pytest.raises(FaceVCError, match="cannot be read"):
        find(tmp_path / "absent.tar")
    with pytest.raises(FaceVCError, match="cannot be read"):
        find(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        "../secret/key.wav",
        "memory://bucket/secret/key.wav",
        "memory://bucket/voices/../secret/key.wav",
        "memory://bucket/voices-more/key.wav",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://other/key.wav",
        "zip://x::memory://bucket/voices/a.zip",
    ],
)
def test_a_list_behind_a_url_names_nothing_outside_its_folder(bucket, line):
    fsspec.filesystem("memory").pipe("/bucket/voices/list.txt", f"anna/1.wav\n{line}\n".encode())
    with pytest.raises(FaceVCError):
        find(f"@{bucket}/voices/list.txt")


def test_urls_in_a_list_on_this_disk_need_a_root(bucket, tmp_path):
    soundfile.write(tmp_path / "own.wav", np.zeros(10), RATE)
    (tmp_path / "list.txt").write_text(f"own.wav\n{bucket}/voices/anna/1.wav\n", encoding="utf-8")
    for root in (None, str(tmp_path), f"{bucket}/voices/bert", "s3://bucket"):
        with pytest.raises(FaceVCError, match="--root"):
            find(f"@{tmp_path}/list.txt", root=root)
    found = find(f"@{tmp_path}/list.txt", root=f"{bucket}/voices")
    assert [one.id for one in found] == ["own", "1"]


@pytest.mark.parametrize("name", ["../a.wav", "a/../../b.wav", "/etc/a.wav", "a\\b.wav", "C:a.wav"])
def test_a_tar_file_with_a_name_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(FaceVCError, match="names of files below one folder"):
        find(make_tar(tmp_path / "x.tar", ("good.wav", b"1"), (name, b"2")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_in_a_tar_file_are_left_out(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("link.wav")
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link)
        good = tarfile.TarInfo("good.wav")
        good.size = 3
        tar.addfile(good, io.BytesIO(b"abc"))
    assert [(one.id, read(one)) for one in find(tmp_path / "x.tar")] == [("good", b"abc")]


def test_wrong_and_huge_sizes_in_a_tar_file_are_refused(tmp_path, monkeypatch):
    path = make_tar(tmp_path / "x.tar", ("a.wav", b"a" * 700), ("b.wav", b"b" * 3000))
    whole = path.read_bytes()
    path.write_bytes(whole[: 512 + 1024 + 512 + 1000])  # the second file ends too early
    with pytest.raises(FaceVCError, match="ends before"):
        find(path)
    about = tarfile.TarInfo("a.wav")
    about.size = 1 << 50
    path.write_bytes(about.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(FaceVCError, match="ends before"):
        find(path)
    path.write_bytes(whole[: 512 + 1024] + b"x" * 512 + whole[512 + 1024 + 512 :])  # a damaged header in the middle
    with pytest.raises(FaceVCError, match="damaged"):
        find(path)
    path.write_bytes(whole)
    monkeypatch.setattr(tar_shards, "MOST_BYTES", 2999)
    with pytest.raises(FaceVCError, match="'b.wav' says that it has 3,000 bytes"):
        find(path)


def test_a_header_that_is_huge_is_not_read(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3 << 20
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes((3 << 20) + 1024))
    with pytest.raises(FaceVCError, match="larger than 1 MB"):
        find(tmp_path / "x.tar")


@pytest.mark.parametrize(
    "content", [b"", b"no tar", gzip.compress(b"x" * 2000, mtime=0)], ids=["empty", "text", "gzip"]
)
def test_what_is_no_tar_file_is_refused(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(FaceVCError, match="without compression|holds no sound file"):
        find(tmp_path / "x.tar")


def test_a_tar_file_that_shrinks_after_it_was_listed(tmp_path):
    (source,) = find(make_tar(tmp_path / "x.tar", ("a.wav", b"a" * 3000)))
    os.truncate(tmp_path / "x.tar", 1000)
    with pytest.raises(FaceVCError, match="found fewer"):
        read(source)
    assert hash_input(source) == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (describe_recording("a", "rm -rf /", "command"), "type file or url"),
        (describe_recording("a", "AAAA", "memory"), "type file or url"),
        (describe_recording("a", "/etc/passwd"), "not below"),
        (describe_recording("a", "../outside.wav"), "not below"),
        (describe_recording("a", "memory://bucket/secret/key.wav", "url"), "not below"),
        (describe_recording("a", "http://127.0.0.1/a.wav", "url"), "expected a path"),
        (describe_recording("a", "absent.wav"), "no such file"),
        (describe_recording("", "a.wav"), "text as id"),
        (describe_recording("a\0", "a.wav"), "text as id"),
        ({"id": "a", "sources": []}, "one source"),
        ({"id": "a", "sources": [{}, {}]}, "one source"),
        ({"id": "a"}, "a recording, a supervision or a cut"),
        ([1], "a JSON object"),
        ("{\n", "expected JSON"),
        ("[" * 100_000 + "\n", "expected JSON"),
        ({"id": "a", "start": -1, "duration": 1, "recording": describe_recording("r", "a.wav")}, "start of 0 or more"),
        ({"id": "a", "start": 0, "duration": "nan", "recording": describe_recording("r", "a.wav")}, "above 0"),
        ({"id": "a", "start": 0, "recording": describe_recording("r", "a.wav")}, "lhotse's fields"),
        (
            {"id": "a", "start": 0, "duration": 1, "channel": -1, "recording": describe_recording("r", "a.wav")},
            "channels",
        ),
        ({"id": "a", "recording_id": "r", "start": 0, "duration": 1}, "supervisions need their recordings"),
    ],
)
def test_a_wrong_line_of_a_manifest_is_refused(bucket, tmp_path, row, said):
    folder = tmp_path / "inside"
    folder.mkdir()
    for place in (folder / "a.wav", tmp_path / "outside.wav"):
        soundfile.write(place, np.zeros(10), RATE)
    with pytest.raises(FaceVCError, match=said):
        find(write_lines(folder / "x.jsonl", row))


def test_a_link_does_not_lead_a_manifest_out_of_its_folder(tmp_path):
    (tmp_path / "inside").mkdir()
    soundfile.write(tmp_path / "outside.wav", np.zeros(10), RATE)
    (tmp_path / "inside/link.wav").symlink_to(tmp_path / "outside.wav")
    manifest = write_lines(tmp_path / "inside/x.jsonl", describe_recording("a", "link.wav"))
    with pytest.raises(FaceVCError, match="--root"):
        find(manifest)
    assert [one.id for one in find(manifest, root=str(tmp_path))] == ["a"]


def test_a_truncated_manifest_and_a_long_line_are_refused(tmp_path, monkeypatch):
    path = write_lines(tmp_path / "x.jsonl.gz", describe_recording("a", "a.wav"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FaceVCError, match="cannot be read"):
        find(path)
    monkeypatch.setattr("facevc_cli.files.lhotse.MOST_LINE_BYTES", 20)
    with pytest.raises(FaceVCError, match="line 1: expected at most"):
        find(write_lines(tmp_path / "y.jsonl", describe_recording("a", "a.wav")))


def test_two_inputs_of_one_id_are_named(bucket, tmp_path):
    make_tar(tmp_path / "x.tar", ("anna/1.wav", b"1"))
    with pytest.raises(
        FaceVCError, match=r"voices/anna/1\.wav and .*x\.tar::anna/1\.wav would both be called 'anna/1'"
    ):
        find(f"{bucket}/voices", tmp_path / "x.tar")


# What is read


def test_a_folder_behind_a_url(bucket):
    found = find(f"{bucket}/voices/")
    assert [(one.id, one.speaker, read(one)) for one in found] == [
        ("anna/1", "anna", b"one"),
        ("anna/2", "anna", b"two"),
        ("bert/x.y", "bert", b"three"),
    ]
    assert str(found[0].packed) == f"{bucket}/voices/anna/1.wav"
    assert pickle.loads(pickle.dumps(found)) == found  # for worker processes
    (one,) = find(f"{bucket}/voices/bert/x.y.wav")
    assert (one.id, one.speaker, one.packed.stamp) == ("x.y", "bert", found[2].packed.stamp)
    assert one.packed.stamp  # the memory's time
    with open_input(one) as local:
        assert local.path.suffix == ".wav"
        folder = local.path.parent
    assert not folder.exists()


def test_large_files_come_in_pieces(bucket, monkeypatch):
    monkeypatch.setattr(urls, "PIECE_BYTES", 4)
    fsspec.filesystem("memory").pipe("/bucket/voices/big.wav", bytes(range(23)))
    (one,) = find(f"{bucket}/voices/big.wav")
    assert [len(piece) for piece in urls.iterate_pieces(one.packed.where, 0, 23)] == [4, 4, 4, 4, 4, 3]
    assert read(one) == bytes(range(23))
    monkeypatch.setattr(packed_module, "MOST_BYTES", 22)
    with pytest.raises(FaceVCError, match="at most 22 bytes, found 23"):
        read(one)


def test_a_file_url_is_a_path(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(10), RATE)
    (one,) = find(f"file://{tmp_path}/a.wav")
    assert (one.path, one.packed) == (tmp_path / "a.wav", None)


def test_tar_shards_on_this_disk_and_behind_a_url(bucket, tmp_path):
    for number in range(2):
        members = [(f"./s{number}/{i}.wav", f"{number}{i}".encode() * 400) for i in range(3)]
        make_tar(tmp_path / f"x-{number:02d}.tar", *members, (f"s{number}/0.json", b"{}"), ("a" * 150 + ".txt", b"x"))
        fsspec.filesystem("memory").put(str(tmp_path / f"x-{number:02d}.tar"), f"/bucket/tars/x-{number:02d}.tar")
    for place in (str(tmp_path), f"{bucket}/tars"):
        found = find(f"{place}/x-{{00..01}}.tar")
        assert [one.id for one in found] == ["s0/0", "s0/1", "s0/2", "s1/0", "s1/1", "s1/2"]
        assert [one.speaker for one in found] == ["s0"] * 3 + ["s1"] * 3
        assert [read(one) for one in found] == [f"{n}{i}".encode() * 400 for n in range(2) for i in range(3)]
        assert str(found[4].packed) == f"{place}/x-01.tar::./s1/1.wav"
    assert find(tmp_path / "x-00.tar", speakers=SpeakerRule("/(.)$"))[2].speaker == "2"
    assert [member.size for member in list_members(str(tmp_path / "x-00.tar"))] == [800, 800, 800, 2, 1]


def test_braces():
    assert expand_braces("x.tar") == ["x.tar"]
    assert expand_braces("a{08..10}b{1..2}.tar")[:3] == ["a08b1.tar", "a08b2.tar", "a09b1.tar"]
    for wrong in ("{3..1}.tar", "{0..99999999}.tar"):
        with pytest.raises(FaceVCError, match="expected"):
            expand_braces(wrong)


@pytest.fixture
def corpus(tmp_path):
    """Two recordings of which each sample tells its place: 2 s with two channels, and 1 s."""
    ramp = np.arange(2 * RATE) / (4 * RATE)
    soundfile.write(tmp_path / "two.wav", np.stack([ramp, -ramp], axis=1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "one.flac", ramp[:RATE], RATE, subtype="PCM_24")
    recordings = [describe_recording("r2", "two.wav"), describe_recording("r1", str(tmp_path / "one.flac"))]
    write_lines(tmp_path / "c_recordings_all.jsonl.gz", *recordings)
    supervisions = [
        {"id": "u1", "recording_id": "r2", "start": 0.5, "duration": 0.25, "channel": 1, "speaker": "anna"},
        {"id": "u2", "recording_id": "r2", "start": 1.5, "duration": 0.55, "channel": [0, 1], "speaker": "bert"},
        {"id": "u3", "recording_id": "r1", "start": 0, "duration": 1.0, "channel": 0},
    ]
    write_lines(tmp_path / "c_supervisions_all.jsonl.gz", *supervisions)
    return tmp_path


def load(source):
    with open_input(source) as local:
        return soundfile.read(local.path, dtype="float32", always_2d=True)[0]


def test_supervisions_are_parts_of_their_recordings(corpus):
    found = find(corpus / "c_supervisions_all.jsonl.gz")
    assert [(one.id, one.speaker) for one in found] == [("u1", "anna"), ("u2", "bert"), ("u3", corpus.name)]
    assert str(found[0].packed) == f"{corpus}/two.wav#t=0.500,0.750"
    first, second, third = map(load, found)
    assert first.shape == (2000, 1)
    assert np.allclose(first[:, 0], -np.arange(4000, 6000) / (4 * RATE))
    assert second.shape == (4000, 2)  # the manifest rounds; the recording ends first
    assert np.allclose(third[:, 0], np.arange(RATE) / (4 * RATE), atol=1e-6)
    by_pattern = find(corpus / "c_supervisions_all.jsonl.gz", speakers=SpeakerRule("(.)$"))
    assert [one.speaker for one in by_pattern] == ["1", "2", "3"]


def test_recordings_are_whole_and_cuts_are_parts(corpus):
    found = find(corpus / "c_recordings_all.jsonl.gz")
    assert [one.id for one in found] == ["r2", "r1"]
    assert load(found[0]).shape == (2 * RATE, 2)
    cut = {
        "id": "cut",
        "start": 0.25,
        "duration": 0.5,
        "channel": 0,
        "type": "MonoCut",
        "supervisions": [{"speaker": "anna"}, {"speaker": "anna"}],
        "recording": describe_recording("r2", "two.wav"),
    }
    (one,) = find(write_lines(corpus / "cuts.jsonl", cut, "\n"))
    assert (one.id, one.speaker, len(load(one))) == ("cut", "anna", 4000)
    cut["supervisions"] = [{"speaker": "anna"}, {"speaker": "bert"}]
    with pytest.raises(FaceVCError, match="one speaker in each cut, found anna, bert"):
        find(write_lines(corpus / "cuts.jsonl", cut))
    cut |= {"supervisions": [], "duration": 9}
    (one,) = find(write_lines(corpus / "cuts.jsonl", cut))
    with pytest.raises(FaceVCError, match=r"from 0.25 to 9.25 s, found a recording of 2 s"):
        load(one)
    cut |= {"duration": 1, "channel": 2}
    (one,) = find(write_lines(corpus / "cuts.jsonl", cut))
    with pytest.raises(FaceVCError, match=r"expected the channel 2, found 2 channels"):
        load(one)


def test_a_manifest_behind_a_url_reads_beside_itself(bucket):
    wav = io.BytesIO()
    soundfile.write(wav, np.zeros(80), RATE, format="WAV")
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/voices/real.wav", wav.getvalue())
    row = json.dumps(describe_recording("r", "real.wav")) + "\n"
    system.pipe("/bucket/voices/recordings.jsonl.gz", gzip.compress(row.encode()))
    (one,) = find(f"{bucket}/voices/recordings.jsonl.gz")
    assert (one.id, len(load(one))) == ("r", 80)
    for source in ("../secret/key.wav", f"{bucket}/secret/key.wav", "/etc/passwd"):
        row = json.dumps(describe_recording("r", source)) + "\n"
        system.pipe("/bucket/voices/recordings.jsonl.gz", gzip.compress(row.encode()))
        with pytest.raises(FaceVCError):
            find(f"{bucket}/voices/recordings.jsonl.gz")


def test_errors_name_the_place_and_not_the_copy(bucket):
    (one,) = find(f"{bucket}/voices/anna/1.wav")
    with pytest.raises(FaceVCError, match=r"^memory://bucket/voices/anna/1\.wav: ") as caught, open_input(one) as local:
        raise FaceVCError(f"{local.path}: expected sound.")
    assert "/tmp" not in str(caught.value)
