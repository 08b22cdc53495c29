"""Fields that several tabs have: photos, recordings, the sliders of a voice, and how they are told of in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.conversion.voice_reading import OLDEST, YOUNGEST, VoiceReading
from facevc_cli.core.errors import FaceVCError
from facevc_cli.page import views
from facevc_cli.page.examples import copy_example
from facevc_cli.page.people import Card, Person, Photo
from facevc_cli.page.session import Speech
from facevc_cli.page.studio import Studio
from facevc_cli.page.tabs.tab import ALONE, KEPT_S, RAW, make_toast, read_page_id
from facevc_cli.page.uploads import Upload


@dataclass(frozen=True)
class PersonField:
    """files, camera: where photos come from; seen: what was found in them."""

    files: Any
    camera: Any
    seen: Any


@dataclass(frozen=True)
class VoiceSliders:
    """register, age: they begin at what the face is read as, which `told` says in words."""

    register: Any
    age: Any
    told: Any


@dataclass(frozen=True)
class RecordingField:
    """sound: where a recording comes from; heard: what was found in it."""

    sound: Any
    heard: Any


def add_recording_field(label: str, sound_id: str, heard_id: str) -> RecordingField:
    """Adds the field of a recording: a file, or the microphone."""
    import gradio as gr

    sound = gr.Audio(
        label=label,
        sources=["upload", "microphone"],
        type="filepath",
        buttons=["download"],
        interactive=True,
        elem_id=sound_id,
    )
    return RecordingField(sound, gr.HTML(elem_id=heard_id))


def watch_recording(field: RecordingField, hear: Callable[[str, Upload], Speech | None]) -> None:
    """Reads each recording as soon as it is there, and says how long it is, or what is wrong with it."""
    import gradio as gr

    def tell(upload: Upload, request: gr.Request) -> str:
        try:
            speech = hear(read_page_id(request), upload)
        except FaceVCError as error:
            return views.render_failure(str(error))
        return views.render_note(f"{speech.seconds:.1f} s of sound.") if speech else ""

    field.sound.change(tell, field.sound, field.heard, **RAW)


def add_person_field(who: int, label: str) -> PersonField:
    """Adds the field of one person, with a camera below it. who: the person's number in the studio."""
    return _add_pictures_field(str(who), label, "multiple", ["image", CARD_SUFFIX])


def add_photo_field(name: str, label: str) -> PersonField:
    """Adds the field of one photo, with a camera below it. name: ends the elements' ids."""
    return _add_pictures_field(name, label, "single", ["image"])


def _add_pictures_field(name: str, label: str, count: Literal["single", "multiple"], types: list[str]) -> PersonField:
    import gradio as gr

    files = gr.File(
        label=label,
        file_count=count,
        file_types=types,
        height=224,
        interactive=True,
        elem_id=f"face-{name}",
        elem_classes="facevc-given",
    )
    with gr.Accordion("Take a photo", open=False, elem_id=f"take-{name}"):
        camera = gr.Image(
            show_label=False,
            sources=["webcam"],
            type="filepath",
            image_mode=None,
            height=240,
            interactive=True,
            elem_id=f"camera-{name}",
        )
    return PersonField(files, camera, gr.HTML(elem_id=f"seen-{name}"))


def add_voice_sliders(name: str = "") -> VoiceSliders:
    """Adds the sliders of register and age. They are hidden until there is a face. name: begins the elements' ids."""
    import gradio as gr

    register = gr.Slider(
        0, 1, 0.5, step=0.05, label="Register: 0 masculine, 1 feminine", visible=False, elem_id=f"{name}register"
    )
    age = gr.Slider(YOUNGEST, OLDEST, 40, step=1, label="Age of the voice, years", visible=False, elem_id=f"{name}age")
    return VoiceSliders(register, age, gr.HTML(elem_id=f"{name}reading"))


def add_result(name: str = "") -> Any:
    """Adds the player of a finished file. name: begins the element's id."""
    import gradio as gr

    return gr.Audio(
        label="Result (synthetic speech)",
        type="filepath",
        interactive=False,
        buttons=["download"],
        elem_id=f"{name}result",
    )


def add_examples(
    studio: Studio, name: str, examples: Mapping[str, Sequence[object]], fields: Sequence[Any], cleared: Sequence[Any]
) -> None:
    """Adds a button for each example, which fills the fields. A path is the name of a bundled file.

    name: begins the buttons' ids. cleared: the fields that are emptied.
    """
    import gradio as gr

    def copy_files(page: str, value: object) -> object:
        if isinstance(value, list):
            return [copy_files(page, one) for one in value]
        return str(copy_example(studio, page, value.name)) if isinstance(value, Path) else value

    def make_filler(values: Sequence[object]) -> Callable[[Any], list[Any]]:
        def fill(request: gr.Request) -> list[Any]:
            page = read_page_id(request)
            try:
                given = [copy_files(page, value) for value in values]
            except FaceVCError as error:
                raise make_toast(error) from error
            return [*given, *[None] * len(cleared)]

        return fill

    with gr.Row(elem_classes="facevc-examples"):
        gr.HTML(views.render_note("Try an example:"), padding=False)
        for number, (label, values) in enumerate(examples.items()):
            button = gr.Button(label, size="sm", min_width=0, elem_id=f"{name}-{number}")
            button.click(make_filler(values), None, [*fields, *cleared], show_progress="hidden", **ALONE)


def watch_person(
    studio: Studio, who: int, field: PersonField, sliders: VoiceSliders, people: tuple[int, ...], share: Any = None
) -> None:
    """Looks at the photos when they change, then sets the sliders to what the voice of these people is read as.

    share: the slider of the second person's share in percent, if two are mixed.
    """
    import gradio as gr

    def look(files: list[Upload] | None, photo: Upload, request: gr.Request) -> str:
        try:
            person = studio.look(read_page_id(request), who, [upload for upload in (*(files or ()), photo) if upload])
        except FaceVCError as error:
            return views.render_failure(str(error))
        return render_person(person) if person else ""

    def read(percent: float, request: gr.Request) -> tuple[Any, Any, str]:
        try:
            reading = studio.read(read_page_id(request), percent / 100, people)
        except FaceVCError:  # said beside the face already
            reading = None
        if reading is None:
            return gr.update(visible=False), gr.update(visible=False), ""
        return (
            gr.update(visible=True, value=reading.slider_register),
            gr.update(visible=True, value=reading.slider_age),
            render_reading(reading),
        )

    looked = gr.on([field.files.change, field.camera.change], look, [field.files, field.camera], field.seen, **RAW)
    shown = [sliders.register, sliders.age, sliders.told]
    looked.then(read, share or gr.State(0.0), shown, show_progress="hidden", **ALONE)


def render_made(seconds: float, took_s: float) -> str:
    """Say in HTML how long a result is, how long it took, and how long it is kept."""
    return views.render_note(
        f"{seconds:.1f} s of synthetic speech, made in {took_s:.1f} s. Kept here for {KEPT_S // 60} minutes."
    )


def tell_heard(feminine: float, age_years: float) -> str:
    """Say in words what was heard in a voice. feminine: the probability of a woman, from 0 to 1."""
    who = "woman" if feminine > 0.5 else "man"
    return f"Heard: a {who} (certainty {max(feminine, 1 - feminine):.2f}) of about {age_years:.0f} years."


def render_person(person: Person) -> str:
    """Describe in HTML who was found."""
    if isinstance(card := person.files[0], Card):
        pitch = f", median pitch {card.pitch_hz:.0f} Hz" if card.pitch_hz else ""
        origin = " and ".join(str(part.get("file", "?")) for part in card.card.origin)
        return views.render_note(f"Voice card of {origin}, made on {card.card.made}{pitch}.")
    photos = [photo for photo in person.files if isinstance(photo, Photo)]
    left_out = "".join(views.render_failure(f"Left out: {reason}") for reason in person.left_out)
    shown = views.render_photos([(photo.shown, photo.face.crop) for photo in photos])
    return f"{shown}{views.render_note(_describe_photos(photos))}{left_out}"


def render_reading(reading: VoiceReading) -> str:
    """Say in HTML what the face is read as, and what to do if that is wrong."""
    told = f"Read as a {reading.word} voice, certainty {reading.certainty:.2f}. Move a slider if it does not fit."
    return views.render_failure(told) if reading.is_doubtful else views.render_note(told)


def _describe_photos(photos: Sequence[Photo]) -> str:
    if len(photos) > 1:
        several = (
            " In some, the largest of several faces was taken." if any(photo.face.faces > 1 for photo in photos) else ""
        )
        return f"{len(photos)} photos, one voice: that of their mean face.{several}"
    found = photos[0].face
    taken = f"The face that was taken is {found.box[2] - found.box[0]:.0f} px wide"
    return f"{taken}." if found.faces == 1 else f"{taken}: the largest of {found.faces}."
