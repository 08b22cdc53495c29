"""The tab "Restyle": a photo, and a voice, a face or sliders in; the photo before and after out."""

from pathlib import Path
from typing import Any

from facevc_cli.conversion.voice_reading import OLDEST, YOUNGEST
from facevc_cli.core.errors import FaceVCError
from facevc_cli.page import views
from facevc_cli.page.fields import add_examples, add_photo_field, add_recording_field, tell_heard, watch_recording
from facevc_cli.page.restyled_photos import (
    MOST_STRENGTH,
    STEPS,
    RestyledPhotos,
    RestyledResult,
    Towards,
    find_slider_age,
    find_slider_register,
)
from facevc_cli.page.tabs.tab import (
    ALONE,
    AT_ONCE,
    KEPT_S,
    RAW,
    PageContext,
    make_toast,
    read_page_id,
    register_tab,
)
from facevc_cli.page.uploads import Upload

SAME_DISTANCE = 0.6  # of dlib's descriptors
LEAST_STRENGTH = 0.1
WAYS: dict[str, Towards] = {"A register and an age": "sliders", "A voice": "voice", "A face": "face"}
SLIDERS, VOICE, FACE = WAYS
EXAMPLES = {  # photo, towards what, voice, face
    "A woman, towards a man's voice": (Path("face_woman.jpg"), VOICE, Path("speech_man.flac"), None),
    "A man, towards a woman's face": (Path("face_man.jpg"), FACE, None, Path("face_woman.jpg")),
}
NOTICE = """Use photos and recordings of yourself, or of people who have agreed to it.
**The result is a synthetic picture**: its file says so, say so too. It is a guess from averages of many people, and no
prediction. What you give stays on the machine that runs this page; it is deleted when the photo is restyled, or when
you leave."""


@register_tab("Restyle", 40)
def build(context: PageContext) -> None:
    """Adds the fields and buttons."""
    import gradio as gr

    studio, photos = context.studio, RestyledPhotos(context.studio)

    def look(file: Upload, taken: Upload, request: gr.Request) -> tuple[str, Any, Any]:
        try:
            given = photos.look(read_page_id(request), (file, taken))
        except FaceVCError as error:
            return views.render_failure(str(error)), gr.update(), gr.update()
        if given is None:
            return "", gr.update(), gr.update()
        reading = given.face.reading
        shown = views.render_photos([(given.shown, given.face.crop)])
        told = f"Read as a {tell_read(reading.feminine, reading.age_years)}{tell_count(given.face.faces)}"
        return shown + views.render_note(told), find_slider_register(reading), find_slider_age(reading)

    def look_at_guide(file: Upload, taken: Upload, request: gr.Request) -> str:
        try:
            given = photos.look_at_guide(read_page_id(request), (file, taken))
        except FaceVCError as error:
            return views.render_failure(str(error))
        return views.render_photos([(given.shown, given.crop)]) if given else ""

    def restyle(way: str, register: float, age: float, strength: float, request: gr.Request) -> tuple[str, str, str]:
        try:
            made = photos.restyle(read_page_id(request), WAYS[way], register, age, strength)
        except FaceVCError as error:
            raise make_toast(error) from error
        return views.render_before(made.photo), str(made.path), render_result(made)

    with gr.Row():
        with gr.Column():
            photo = add_photo_field("restyle", "1. Photo")
        with gr.Column():
            way = gr.Radio(list(WAYS), value=SLIDERS, label="2. Towards", elem_id="restyle-way")
            with gr.Group() as sliders:
                register = gr.Slider(
                    0, 1, 0.5, step=1 / STEPS, label="Register: 0 masculine, 1 feminine", elem_id="restyle-register"
                )
                age = gr.Slider(YOUNGEST, OLDEST, 40, step=1, label="Age, years", elem_id="restyle-age")
            with gr.Column(visible=False) as voices:
                voice = add_recording_field("A voice", "restyle-voice", "restyle-heard")
            with gr.Column(visible=False) as faces:
                guide = add_photo_field("guide", "A face")
    fields = [photo.files, way, voice.sound, guide.files]
    add_examples(studio, "restyle-example", EXAMPLES, fields, [photo.camera, guide.camera])
    strength = gr.Slider(
        LEAST_STRENGTH,
        MOST_STRENGTH,
        1,
        step=0.1,
        label="Strength: 1 is the whole way, .5 keeps more of the person",
        elem_id="restyle-strength",
    )
    gr.Markdown(NOTICE, elem_id="restyle-notice")
    press = gr.Button("Restyle", variant="primary", elem_id="restyle")
    with gr.Row():
        before = gr.HTML(elem_id="restyle-before")
        after = gr.Image(
            label="After (synthetic)",
            type="filepath",
            interactive=False,
            buttons=["download"],
            elem_id="restyle-after",
        )
    told = gr.HTML(elem_id="restyle-told")

    gr.on(
        [photo.files.change, photo.camera.change],
        look,
        [photo.files, photo.camera],
        [photo.seen, register, age],
        **RAW,
    )
    gr.on([guide.files.change, guide.camera.change], look_at_guide, [guide.files, guide.camera], guide.seen, **RAW)
    watch_recording(voice, photos.hear)
    way.change(
        lambda chosen: [gr.update(visible=chosen == one) for one in (SLIDERS, VOICE, FACE)],
        way,
        [sliders, voices, faces],
        **AT_ONCE,
    )
    press.click(restyle, [way, register, age, strength], [before, after, told], show_progress_on=after, **ALONE)


def render_result(made: RestyledResult) -> str:
    """Says in HTML what was heard, what is read in the face before and after, and how like the two are."""
    before, after, distance = made.made.before, made.made.after, made.made.distance
    heard = f"{tell_heard(made.heard.feminine, made.heard.age_years)} " if made.heard else ""
    like = "still taken for one person" if distance < SAME_DISTANCE else "taken for two people"
    return views.render_note(
        f"{heard}Before, read as a {tell_read(before.feminine, before.age_years)} After, as a "
        f"{tell_read(after.feminine, after.age_years)} By their distance of {distance:.2f} the two faces are {like} "
        f"(border {SAME_DISTANCE:g}). Made in {made.took_s:.1f} s. Kept here for {KEPT_S // 60} minutes."
    )


def tell_read(feminine: float, age_years: float) -> str:
    """Says in words what is read in a face. feminine: from 0 to 1."""
    who = "woman" if feminine > 0.5 else "man"
    return f"{who} (certainty {max(feminine, 1 - feminine):.2f}) of about {age_years:.0f} years."


def tell_count(faces: int) -> str:
    """Says which of several faces was taken. Empty for one."""
    return "" if faces == 1 else f" This is the largest of {faces} faces."
