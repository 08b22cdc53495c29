"""`facevc serve`: what it refuses, what it keeps and deletes, and the page itself in a browser from upload to audible
result.
"""

import hashlib
import io
import os
import shutil
import signal
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from helpers.checkpoints import checkpoint
from helpers.folders import list_names
from helpers.networks import FakeAnalyser, make_converter
from helpers.pages import add_photo, add_sound, give, needs_browser, needs_gradio, open_chromium
from helpers.repository import EXAMPLES
from helpers.sounds import buzz, recording
from typer.testing import CliRunner

from facevc_cli.cli.serve import serve
from facevc_cli.conversion.card import load_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Summary
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.files.hashes import hash_file
from facevc_cli.page import fields, views
from facevc_cli.page import page as page_module
from facevc_cli.page.folder import open_upload_folder
from facevc_cli.page.people import MOST_PHOTOS
from facevc_cli.page.server import bind, is_loopback
from facevc_cli.page.studio import FIRST, SECOND, Studio
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.provenance.watermark import detect
from facevc_cli.stages import serve as stage
from facevc_cli.stages.serve import ServeConfig, ServedPage, serve_in_background

A, B = "page a", "page b"

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
app.command()(serve)


@pytest.fixture(scope="module")
def analyser():
    return FakeAnalyser()


@pytest.fixture(scope="module")
def converter(model, analyser):
    return make_converter(model, analyser)


@pytest.fixture
def studio(converter, tmp_path):
    return Studio(lambda: converter, tmp_path, max_seconds=1.0)


# what is refused


def test_without_gradio_one_paragraph_and_exit_1(monkeypatch):
    monkeypatch.setattr(page_module.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1 and result.stdout == ""
    assert "facevc[page]" in result.stderr and "Traceback" not in result.stderr


@needs_gradio
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--port", "70000"), 2, "--port"),
        (("--max-seconds", "0"), 2, "--max-seconds 0"),
        (("--max-mb", "nan"), 2, "--max-mb nan"),
        (("--host", "203.0.113.7"), 1, "--host 203.0.113.7"),  # an address that is nobody's
        (("--host", "no such host"), 2, "--host no such host"),
        (("--port", "0", "--checkpoint", "nowhere"), 1, "nowhere"),
        (("--port", "0", "--device", "tpu"), 2, "--device"),
    ],
)
def test_wrong_options(arguments, code, said, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code and said in result.stderr
    assert list(tmp_path.iterdir()) == []


@needs_gradio
def test_a_model_without_faces_is_refused_before_the_page_opens(tmp_path):
    folder = checkpoint(tmp_path / "run", "starter", faces=False)
    with (
        pytest.raises(FaceVCError, match="never trained on faces"),
        serve_in_background(ServeConfig(port=0, checkpoint=folder, vocoder="griffin-lim")),
    ):
        pass


def test_a_taken_port_gives_the_next_and_none_left_is_said():
    with bind("127.0.0.1", 0) as first:
        taken = first.getsockname()[1]
        with bind("127.0.0.1", taken) as second:
            assert taken < second.getsockname()[1] < taken + 20
    with socket.socket() as last:
        last.bind(("127.0.0.1", 65535))
        last.listen()
        with pytest.raises(FaceVCError, match=r"--port 65535: neither"):
            bind("127.0.0.1", 65535)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.2", False),
        ("a.org", False),
    ],
)
def test_loopback(host, only_here):
    assert is_loopback(host) is only_here


# what is kept and deleted


def test_the_folder_is_private_and_goes():
    with open_upload_folder() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x.wav").write_bytes(b"x")
        assert os.name != "posix" or stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_nothing_given_is_said(studio):
    with pytest.raises(FaceVCError, match="no speech yet"):
        studio.convert(A)
    studio.hear(A, add_sound(studio))
    with pytest.raises(FaceVCError, match="no face yet"):
        studio.convert(A)


def test_what_cannot_be_used_is_named_and_said_again(studio):
    text = add_sound(studio, name="notes.wav")
    Path(text["path"]).write_text("not a sound at all " * 20)
    for call in (lambda: studio.hear(A, text), lambda: studio.convert(A)):
        with pytest.raises(FaceVCError, match=r"notes\.wav") as told:
            call()
        assert str(studio.folder) not in str(told.value)
    studio.hear(A, add_sound(studio))
    for call in (lambda: studio.look(A, FIRST, [add_photo(studio, 0, "dark.png")]), lambda: studio.convert(A)):
        with pytest.raises(FaceVCError, match=r"dark\.png: expected a face"):
            call()
    assert studio.look(A, FIRST) is None
    with pytest.raises(FaceVCError, match="no face yet"):
        studio.convert(A)


def test_a_long_recording_is_refused_before_it_is_decoded(studio, monkeypatch):
    assert studio.hear(A, add_sound(studio, 1.0)).seconds == 1.0
    monkeypatch.setattr("facevc_cli.page.studio.load_audio", lambda path: pytest.fail("decoded"))
    with pytest.raises(FaceVCError, match=r"long\.wav: expected at most 1 s of speech, found 2 s"):
        studio.hear(A, add_sound(studio, 1.6, "long.wav"))


def test_only_our_own_folder_is_read_and_emptied(studio, tmp_path_factory):
    foreign = recording(tmp_path_factory.mktemp("home") / "secret.wav")
    for path in (
        str(foreign),
        f"{studio.folder}/../{foreign.parent.name}/secret.wav",
        "http://example.org/x.wav",
        "",
        None,
    ):
        with pytest.raises(FaceVCError, match="no longer here"):
            studio.hear(A, {"path": path, "orig_name": "x.wav"})
    studio.leave(A)
    assert foreign.is_file()


def test_uploads_go_after_a_conversion_and_another_needs_none(studio):
    given = [add_sound(studio), add_photo(studio, 90)]
    digests = [hashlib.sha256(Path(upload["path"]).read_bytes()).hexdigest() for upload in given]
    studio.hear(A, given[0])
    studio.look(A, FIRST, given[1:])
    first = studio.convert(A)
    assert not any(Path(upload["path"]).exists() for upload in given) and first.path.name == "s__f.wav"
    heard, rate = soundfile.read(first.path)
    assert len(heard) == round(0.4 * rate) and np.abs(heard).max() > 0.01 and first.seconds == pytest.approx(0.4)
    comment = soundfile.SoundFile(first.path).comment
    assert (
        comment.startswith("synthetic speech: voice converted by facevc") and "from s.wav to the face f.png" in comment
    )
    made = read_provenance(first.path)
    assert made and made.watermark and [made.source_sha256, *made.face_sha256] == [digest[:16] for digest in digests]
    again = studio.convert(A)
    assert not first.path.exists() and np.array_equal(soundfile.read(again.path)[0], heard) and studio.conversions == 2
    studio.look(A, FIRST, [add_photo(studio, 30)])
    assert not np.array_equal(soundfile.read(studio.convert(A).path)[0], heard)


def test_leaving_deletes_and_forgets_one_page(studio):
    for page in (A, B):
        studio.hear(page, add_sound(studio))
        studio.look(page, FIRST, [add_photo(studio, 90)])
    result, waiting = studio.convert(A).path, add_sound(studio)
    studio.hear(A, waiting)
    studio.leave(A)
    assert not result.exists() and not Path(waiting["path"]).exists()
    with pytest.raises(FaceVCError, match="no speech yet"):
        studio.convert(A)
    assert studio.convert(B).path.exists()
    studio.leave("never seen")


def test_a_page_closed_on_the_way_leaves_no_result(studio, monkeypatch):
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 90)])
    speak = studio.converter.speak
    monkeypatch.setattr(studio.converter, "speak", lambda *given: (studio.leave(A), speak(*given))[1])
    with pytest.raises(FaceVCError, match="closed"):
        studio.convert(A)
    assert list(studio.folder.rglob("*.wav")) == []


def test_the_slider_mixes_addresses(studio, monkeypatch):
    targets = []
    speak = studio.converter.speak
    monkeypatch.setattr(
        studio.converter, "speak", lambda source, target: (targets.append(target), speak(source, target))[1]
    )
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 90, "a.png")])
    studio.look(A, SECOND, [add_photo(studio, 30, "b.png")])
    names = [studio.convert(A, share).path.name for share in (0.0, 1.0)]
    last = studio.convert(A, 0.25).path
    comment = soundfile.SoundFile(last).comment
    names.append(last.name)
    first, second, mixed = (target.address for target in targets)
    assert names == ["s__a.wav", "s__b.wav", "s__a_b.wav"] and "to the mix of a.png 0.75 and b.png 0.25" in comment
    np.testing.assert_allclose(mixed, 0.75 * first + 0.25 * second, atol=1e-6)
    assert float(abs(first - second).max()) > 1e-4
    studio.look(A, FIRST)
    studio.convert(A, 0.0)  # the second alone is the whole voice, whatever the slider says
    np.testing.assert_array_equal(targets[-1].address, second)


def test_sliders_begin_at_the_reading_and_count_once_moved(studio, monkeypatch):
    spoken = []
    speak = studio.converter.speak
    monkeypatch.setattr(
        studio.converter, "speak", lambda source, target: (spoken.append(target), speak(source, target))[1]
    )
    assert studio.read(A) is None
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 90)])
    reading = studio.read(A)
    keys = set()
    for register in (reading.slider_register, 0.45, 0.55):
        made = studio.convert(A, register=register, age_years=reading.slider_age)
        keys.add(read_provenance(made.path).key)
    assert len(keys) == 3
    still, lower, higher = (studio.converter.read_voice(target).register for target in spoken)
    assert still == reading.register and lower < higher
    card = load_card(studio.make_card(A, register=0.55, age_years=reading.slider_age))
    np.testing.assert_array_equal(card.address, spoken[2].address[0])
    studio.look(A, FIRST)
    assert studio.read(A) is None  # nobody is there any more


def test_pitch_is_passed_on(studio, monkeypatch):
    rules = []
    speak = studio.converter.speak
    monkeypatch.setattr(
        studio.converter, "speak", lambda source, target: (rules.append(target.pitch), speak(source, target))[1]
    )
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 90)])
    for rule in (PitchRule("keep"), PitchRule("semitones", 3.0)):
        studio.convert(A, 0.5, rule)
    assert rules == [PitchRule("keep"), PitchRule("semitones", 3.0)] and studio.pitched


def test_names_become_safe_file_names(studio):
    studio.hear(A, add_sound(studio) | {"orig_name": "../../étude <b>1</b> " + "x" * 80 + ".wav"})
    studio.look(A, FIRST, [add_photo(studio, 90) | {"orig_name": "...png"}])
    path = studio.convert(A).path
    assert (
        path.is_relative_to(studio.folder)
        and path.name.startswith("b_")
        and len(path.name) < 60
        and "<" not in path.name
    )


def test_views_escape_and_draw():
    assert "<img" not in views.render_failure("<img src=x>: no face") and 'role="alert"' in views.render_failure("x")
    shown = views.draw_box(np.zeros((640, 640, 3), np.uint8), np.array([100, 200, 300, 400], np.float32))
    assert (
        shown.shape == (320, 320, 3) and tuple(shown[150, 50]) == (34, 197, 94) and tuple(shown[150, 100]) == (0, 0, 0)
    )
    assert views.render_photos([(shown, shown)]).count(
        "data:image/jpeg;base64,"
    ) == 2 and "several" not in views.render_photos([(shown, shown)])
    assert "several" in views.render_photos([(shown, shown), (shown, shown)])


# several photos, and voice cards


def spoken_to(studio: Studio, monkeypatch) -> list:
    """The targets of the conversions to come."""
    targets: list = []
    speak = studio.converter.speak
    monkeypatch.setattr(
        studio.converter, "speak", lambda source, target: (targets.append(target), speak(source, target))[1]
    )
    return targets


def test_several_photos_are_one_voice(studio, monkeypatch):
    targets = spoken_to(studio, monkeypatch)
    given = [add_photo(studio, grey, f"{grey}.png") for grey in (90, 30)]
    expected = studio.converter.target_from_faces([Path(upload["path"]) for upload in given])
    studio.hear(A, add_sound(studio))
    person = studio.look(A, FIRST, [given[0], add_photo(studio, 0, "dark.png"), given[1]])
    assert (
        str(person) == "person 90 (2 pictures)"
        and len(person.left_out) == 1
        and "dark.png: expected a face" in person.left_out[0]
    )
    html = fields.render_person(person)
    assert html.count("data:image/jpeg") == 4 and "2 photos, one voice" in html and "Left out: dark.png" in html
    made = studio.convert(A).path
    np.testing.assert_allclose(targets[0].speaker, expected.speaker, rtol=1e-5)
    assert made.name == "s__90.wav" and "to the person 90 (2 pictures)" in soundfile.SoundFile(made).comment
    assert len(read_provenance(made).face_sha256) == 2
    with pytest.raises(
        FaceVCError,
        match=r"^person dark \(2 pictures\): none of them can be used, the first: dark\.png: expected a face",
    ):
        studio.look(A, FIRST, [add_photo(studio, 0, "dark.png"), add_photo(studio, 0, "black.png")])


def test_a_photo_is_looked_at_once_and_may_be_gone_by_then(studio, analyser):
    studio.hear(A, add_sound(studio))
    first, asked = add_photo(studio, 90), analyser.asked
    studio.look(A, FIRST, [first])
    studio.convert(A)
    assert not Path(first["path"]).exists()
    assert len(studio.look(A, FIRST, [first, add_photo(studio, 30)]).files) == 2  # the field names both
    assert analyser.asked == asked + 2
    studio.look(A, FIRST)
    with pytest.raises(FaceVCError, match="no longer here"):  # once taken away it is forgotten
        studio.look(A, FIRST, [first])


def test_a_photo_that_is_taken_away_is_deleted(studio):
    given = [add_photo(studio, 90), add_photo(studio, 30)]
    studio.look(A, FIRST, given)
    assert len(studio.look(A, FIRST, given[:1]).files) == 1
    assert [Path(upload["path"]).exists() for upload in given] == [True, False]


def test_too_many_photos(studio):
    given = [add_photo(studio, 60 + i, f"{i}.png") for i in range(MOST_PHOTOS + 1)]
    with pytest.raises(FaceVCError, match="at most 12 photos of one person, found 13"):
        studio.look(A, FIRST, given)
    assert len(studio.look(A, FIRST, given[1:]).files) == MOST_PHOTOS
    studio.leave(A)
    assert not any(Path(upload["path"]).exists() for upload in given)


def test_equal_files_of_two_pages_lie_in_one_place(studio):
    """As Gradio puts them. What the one page has used up, the other may just have sent."""
    given = add_photo(studio, 90)
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [given])
    content = Path(given["path"]).read_bytes()
    again = Path(given["path"]).with_name("arriving")
    again.write_bytes(content)
    os.replace(again, given["path"])
    studio.convert(A)
    studio.hear(B, add_sound(studio))
    studio.look(B, FIRST, [given])
    studio.convert(B)
    assert not Path(given["path"]).exists()


def card_upload(studio: Studio, page: str, share: float = 0.5, name: str = "anna.safetensors") -> dict[str, str]:
    """The card of a page's people, taken and given again."""
    made = studio.make_card(page, share)
    folder = studio.folder / uuid.uuid4().hex
    folder.mkdir()
    return {"path": str(shutil.copy(made, folder / name)), "orig_name": name}


def test_a_voice_is_kept_as_a_card_and_speaks_as_its_photos(studio, monkeypatch):
    targets = spoken_to(studio, monkeypatch)
    with pytest.raises(FaceVCError, match="no face yet"):
        studio.make_card(A)
    given = [add_photo(studio, grey, f"{grey}.png") for grey in (90, 30)]
    digests = [hash_file(Path(upload["path"])) for upload in given]
    studio.look(A, FIRST, given)
    card = card_upload(studio, A)
    assert not any(Path(upload["path"]).exists() for upload in given)
    found = load_card(Path(card["path"]))
    assert [(p["file"], p["sha256"], p["share"]) for p in found.origin] == [
        ("90.png", digests[0], "0.5000"),
        ("30.png", digests[1], "0.5000"),
    ]
    assert len(list(studio.folder.glob("results/*/90.safetensors"))) == 1
    studio.make_card(A)
    assert len(list(studio.folder.glob("results/*/90.safetensors"))) == 1  # in place of the first
    studio.leave(A)
    assert list(studio.folder.glob("results/*/*")) == []

    for page, faces in ((A, [add_photo(studio, 90, "90.png"), add_photo(studio, 30, "30.png")]), (B, [card])):
        studio.hear(page, add_sound(studio))
        studio.look(page, FIRST, faces)
        made = studio.convert(page).path
    np.testing.assert_allclose(targets[1].speaker, targets[0].speaker, rtol=1e-5)
    assert "to the card anna.safetensors" in soundfile.SoundFile(made).comment
    with pytest.raises(FaceVCError, match=r"anna\.safetensors is a voice card already"):
        studio.make_card(B)


def test_a_mix_is_kept_as_the_slider_has_it(studio):
    studio.look(A, FIRST, [add_photo(studio, 90, "a.png")])
    card = card_upload(studio, A)
    person = studio.look(A, SECOND, [card])
    html = fields.render_person(person)
    assert "Voice card of a.png, made on 20" in html and "median pitch" in html and "data:image" not in html
    studio.look(A, FIRST, [add_photo(studio, 30, "b.png")])
    parts = load_card(studio.make_card(A, 0.25))
    assert [(p["file"], p["share"]) for p in parts.origin] == [("b.png", "0.7500"), ("anna.safetensors", "0.2500")]
    seat = studio._sessions[A]
    first, second = (seat.resolver.resolve(seat.people[who].spec).address[0] for who in (FIRST, SECOND))
    np.testing.assert_allclose(parts.address, 0.75 * first + 0.25 * second, atol=1e-6)


def test_a_page_hears_what_the_command_line_makes(studio, monkeypatch):
    """One mix of two photos and a card, asked of the page and of the resolver that `convert` uses."""
    targets = spoken_to(studio, monkeypatch)
    studio.look(A, FIRST, [add_photo(studio, 60)])
    card, photos = card_upload(studio, A), [add_photo(studio, 90, "a.png"), add_photo(studio, 30, "b.png")]
    files = [Path(upload["path"]) for upload in photos]
    person = VoiceSpec.from_pictures("a", files)
    mix = VoiceSpec.from_mix([(person, 0.75), (VoiceSpec.from_file("card", Path(card["path"])), 0.25)])
    expected = VoiceResolver(studio.converter).resolve(mix)
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, photos)
    studio.look(A, SECOND, [card])
    made = studio.convert(A, 0.25).path
    assert np.array_equal(targets[0].speaker, expected.speaker) and np.array_equal(targets[0].address, expected.address)
    assert "to the mix of person a (2 pictures) 0.75 and anna.safetensors 0.25" in soundfile.SoundFile(made).comment
    assert made.name == "s__a_anna.wav"


def test_what_a_page_keeps_does_not_grow_with_use(studio):
    """Not with places of the slider, nor with photos that were taken away again."""
    studio.hear(A, add_sound(studio))
    studio.look(A, SECOND, [add_photo(studio, 30)])
    resolver = studio._sessions[A].resolver
    held = []
    for i in range(3):
        studio.look(A, FIRST, [add_photo(studio, 90 + i)])
        for share in (0.1 + 0.1 * i, 0.9):
            studio.convert(A, share)
        held.append([len(kept) for kept in (resolver._targets, resolver._embeddings, resolver._names, resolver._shown)])
    assert held == [[3, 2, 2, 2]] * 3  # two people and their last mix
    studio.look(A, FIRST)
    studio.look(A, SECOND)
    assert not any((resolver._targets, resolver._embeddings, resolver._names, resolver._refused, resolver._shown))


def test_cards_that_cannot_be_used(studio, tmp_path_factory):
    studio.look(A, FIRST, [add_photo(studio, 90)])
    card = card_upload(studio, A)
    with pytest.raises(FaceVCError, match=r"found anna\.safetensors and 1 more: a card holds a voice"):
        studio.look(A, FIRST, [add_photo(studio, 30), card])
    whole = Path(card["path"]).read_bytes()
    Path(card["path"]).write_bytes(whole[:-1])
    with pytest.raises(FaceVCError, match=r"^anna\.safetensors: expected a voice card"):
        studio.look(A, FIRST, [card])
    other = Studio(
        lambda: Converter(
            checkpoint(tmp_path_factory.mktemp("other") / "run", "starter", seed=1), "griffin-lim", "cpu"
        ),
        studio.folder,
        1.0,
    )
    Path(card["path"]).write_bytes(whole)
    with pytest.raises(FaceVCError, match=r"^anna\.safetensors: this voice was recalled by the model 'starter'"):
        other.look(A, FIRST, [card])


# the end


def test_closing_waits_for_what_is_under_way(studio, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    speak = studio.converter.speak

    def slow(*given):
        begun.set()
        go_on.wait(10)
        return speak(*given)

    monkeypatch.setattr(studio.converter, "speak", slow)
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 90)])
    working = threading.Thread(target=studio.convert, args=(A,))
    working.start()
    assert begun.wait(10) and studio.busy
    closing = threading.Thread(target=studio.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    go_on.set()
    closing.join(10)
    working.join(10)
    assert not closing.is_alive() and studio.conversions == 1 and not studio.busy
    with pytest.raises(FaceVCError, match="was stopped"):
        studio.convert(A)


def test_one_thread_makes_and_uses_the_model(converter, tmp_path, monkeypatch):
    seen = []

    def load():
        seen.append(threading.get_ident())
        return converter

    studio = Studio(load, tmp_path, max_seconds=1.0)
    for name in ("analyse", "speak", "find_face"):
        monkeypatch.setattr(
            studio.converter,
            name,
            lambda *given, call=getattr(converter, name): (seen.append(threading.get_ident()), call(*given))[1],
        )
    with ThreadPoolExecutor(2) as pages:
        for page in (A, B):
            pages.submit(studio.hear, page, add_sound(studio)).result()
            pages.submit(studio.look, page, FIRST, [add_photo(studio, 90)]).result()
        assert len([*pages.map(studio.convert, (A, B))]) == 2
    assert len(seen) >= 7 and set(seen) == {seen[0]} != {threading.get_ident()}


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_end_it(number, studio, monkeypatch):
    thread = threading.Thread(target=lambda: None)
    monkeypatch.setattr(thread, "join", lambda: (os.kill(os.getpid(), number), time.sleep(5)))
    monkeypatch.setattr(
        stage, "serve_in_background", lambda *given: nullcontext(ServedPage("http://127.0.0.1:1/", studio, thread))
    )
    before = signal.getsignal(signal.SIGTERM)
    assert stage.run(ServeConfig()) == Summary(done=0) and signal.getsignal(signal.SIGTERM) is before


# the page


@pytest.fixture(scope="module")
def starter_page():
    """One server for all tests of the page, with the bundled model: it is what people hear."""
    with serve_in_background(ServeConfig(port=0, device="cpu", max_seconds=20, max_mb=2)) as page:
        yield page


@pytest.fixture(scope="module")
def browser():
    with open_chromium() as opened:
        yield opened


@pytest.fixture
def tab(browser, starter_page):
    """An open page, and the addresses that it asked."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(60_000)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(starter_page.url)
    tab.wait_for_selector("#convert")
    yield tab, asked
    tab.close()


def upload(url: str, content: bytes) -> urllib.request.Request:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n' + content + b"\r\n--x--\r\n"
    return urllib.request.Request(f"{url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"})


@needs_gradio
@pytest.mark.slow
def test_the_page_is_for_this_machine_alone(starter_page):
    assert starter_page.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(starter_page.url) as answer:
        policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'") and "http" not in policy
    with pytest.raises(urllib.error.HTTPError) as foreign:
        urllib.request.urlopen(urllib.request.Request(starter_page.url, headers={"Host": "evil.example"}))
    assert foreign.value.code == 400
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(upload(starter_page.url, bytes(3 << 20)))
    assert refused.value.code == 413 and list_names(starter_page.studio.folder) == []


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_from_upload_to_audible_result(tab, starter_page, tmp_path):
    tab, asked = tab
    speech, rate = soundfile.read(EXAMPLES / "speech.wav")
    soundfile.write(tmp_path / "speech.wav", speech[: 3 * rate], rate)
    give(tab, "#speech", tmp_path / "speech.wav")
    give(tab, "#face-0", EXAMPLES / "face.jpg", EXAMPLES / "face_woman.jpg")
    tab.wait_for_selector("#heard :text('3.0 s of sound')")
    tab.wait_for_selector("#seen-0 :text('2 photos, one voice')")
    tab.wait_for_selector("#reading :text('Read as a feminine voice')")
    assert tab.input_value("#register input[type=number]") == "1"
    tab.fill("#register input[type=number]", "0.8")
    tab.keyboard.press("Tab")
    tab.click("#convert")
    tab.wait_for_selector("#told :text('3.0 s of synthetic speech')")
    address = tab.get_attribute("#result a[download='speech__face.wav']", "href")
    with urllib.request.urlopen(address) as answer:
        file = soundfile.SoundFile(io.BytesIO(answer.read()))
        assert answer.headers["cache-control"] == "no-store"
    heard = file.read()
    assert len(heard) / file.samplerate == pytest.approx(3.0, abs=0.01)
    assert (
        np.sqrt(np.mean(heard**2)) > 0.01 and np.abs(heard).max() < 1 and file.comment.startswith("synthetic speech: ")
    )
    assert detect(heard, file.samplerate).marked
    folder = starter_page.studio.folder
    assert list_names(folder) == ["speech__face.wav"]  # the uploads are gone
    tab.click("#speech button[aria-label*='Play']")  # and can be heard all the same
    tab.wait_for_function("document.querySelector('#speech #time').textContent != '0:00'")

    with tab.expect_download() as download:
        tab.click("#keep")
    assert download.value.suggested_filename == "face.safetensors"
    download.value.save_as(tmp_path / "anna.safetensors")
    assert [part["file"] for part in load_card(tmp_path / "anna.safetensors").origin] == ["face.jpg", "face_woman.jpg"]
    give(tab, "#face-1", tmp_path / "anna.safetensors")
    tab.wait_for_selector("#seen-1 :text('Voice card of face.jpg and face_woman.jpg')")
    tab.wait_for_selector("#share")
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {starter_page.url.split("/")[2]}
    tab.close()
    deadline = time.monotonic() + 10
    while list_names(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list_names(folder) == []


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_errors_are_said_in_the_page(tab, tmp_path):
    tab, _ = tab
    (tmp_path / "text.wav").write_text("not a sound at all " * 20)
    (tmp_path / "text.jpg").write_text("not a picture at all " * 20)
    soundfile.write(tmp_path / "long.wav", np.tile(buzz(1.0), 21), 16000)
    tab.click("#convert")
    tab.wait_for_selector(".toast-body.error :text('There is no speech yet')")
    give(tab, "#speech", tmp_path / "text.wav")
    give(tab, "#face-0", tmp_path / "text.jpg")
    tab.wait_for_selector("#heard [role=alert]:has-text('text.wav: expected')")
    tab.wait_for_selector("#seen-0 [role=alert]:has-text('text.jpg: expected an image')")
    tab.click("#convert")
    tab.wait_for_selector(".toast-body.error :text('text.wav: expected')")
    tab.click("#speech button[aria-label=Clear]")
    tab.wait_for_selector("#heard [role=alert]", state="detached")
    give(tab, "#speech", tmp_path / "long.wav")
    tab.wait_for_selector("#heard [role=alert]:has-text('at most 20 s of speech, found 21 s')")
