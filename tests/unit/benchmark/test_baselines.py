"""benchmark/baselines.py and benchmark/labels.py: what is set beside a system's own conversions, and what tables say
about them.
"""

from collections import Counter
from pathlib import Path

import pytest
from helpers.reporters import Notes

from facevc_cli.batch.jobs import Naming, Row, collect_jobs, name_person
from facevc_cli.batch.utterance import RecordingFile
from facevc_cli.benchmark.baselines import BASELINES, Somebody, draw_derangement, plan_baselines, plan_degraded
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError, UsageError

OUT = Naming(Path("out"))


def faces(**images):
    """p=2 -> two images in the folder p."""
    return [
        (Path(f"faces/{person}/{i}.png"), f"{person}/{i}") for person, count in images.items() for i in range(count)
    ]


def recording(name):
    return RecordingFile(Path(f"{name}.wav"), name)


def somebody(named):
    return [
        Somebody(VoiceSpec.from_file("face", path), identifier, name_person(path, identifier))
        for path, identifier in named
    ]


def own(named, sources=("s", "t"), naming=OUT):
    return [
        Row(
            recording(s),
            "face",
            path,
            identifier,
            naming.make_job(recording(s), VoiceSpec.from_file("face", path), identifier),
        )
        for s in sources
        for path, identifier in named
    ]


ABOUT = {
    "a": {"gender": "female", "references": "/r/a1.wav|/r/a2.wav"},
    "b": {"gender": "F"},
    "c": {"gender": "m"},
    "d": {"gender": "man"},
}


def test_person_is_the_folder_or_the_file_alone():
    assert name_person(Path("faces/ann/1.png"), "ann/1") == "ann"
    assert name_person(Path("faces/x/ann/1.png"), "x/ann/1") == "ann"
    assert name_person(Path("faces/ann.png"), "ann") == "ann"


@pytest.mark.parametrize(
    "images", [{"a": 1, "b": 1}, {"a": 3, "b": 1, "c": 2}, {"a": 2, "b": 2}, {"a": 1, "b": 1, "c": 1, "d": 4, "e": 1}]
)
@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_driven_by_themselves_and_each_image_drives_once(images, seed):
    named = somebody(faces(**images))
    specs = draw_derangement(named, str(seed))
    assert set(specs) == {one.voice_spec for one in named} and sorted(one.id for one in specs.values()) == sorted(
        one.id for one in named
    )
    assert all(spec.file.parent.name != other.person for spec, other in specs.items())


def test_one_seed_is_one_derangement_in_any_order():
    named = somebody(faces(**{f"p{i}": 1 for i in range(10)}))
    assert draw_derangement(named, "0") == draw_derangement(named[::-1], "0")
    assert len({tuple(sorted(str(d) for d in draw_derangement(named, str(seed)).items())) for seed in range(10)}) == 10


def test_images_of_one_person_are_driven_by_one_other():
    """So that the shuffled system can be as alike within a target as the system itself."""
    specs = draw_derangement(somebody(faces(a=3, b=3, c=3)), "1")
    for person in "abc":
        assert len({other.person for spec, other in specs.items() if spec.file.parent.name == person}) == 1


@pytest.mark.parametrize("images", [{"a": 3}, {"a": 3, "b": 2}, {"a": 5, "b": 2, "c": 2}])
def test_no_derangement(images):
    with pytest.raises(FaceVCError, match=r"at least two targets, none with more than half.* of 'a'"):
        draw_derangement(somebody(faces(**images)), "0")


def test_shuffled_rows_share_the_files_that_are_made_anyway():
    rows = own(faces(a=1, b=1, c=1))
    shuffled = plan_baselines(["shuffled-faces"], rows, OUT, {}, 3)
    assert len(shuffled) == 6 and {row.baseline for row in shuffled} == {"shuffled-faces"}
    assert collect_jobs([*rows, *shuffled], OUT) == [row.job for row in rows]
    for row in shuffled:
        assert row.job.voice_spec.file.parent.name != row.person and row.job.source == row.source


def test_shuffled_rows_without_their_file_get_their_own():
    """As with --limit: the last source has the first face only."""
    rows = own(faces(a=1, b=1))[:3]
    shuffled = plan_baselines(["shuffled-faces"], rows, OUT, {}, 0)
    assert [row.job.relative for row in shuffled] == ["s__b-0.wav", "s__a-0.wav", "baselines/shuffled-faces/t__b-0.wav"]
    assert (
        shuffled[2].job.voice_spec == VoiceSpec.from_file("face", Path("faces/b/0.png")) and shuffled[2].person == "a"
    )


def test_shuffled_within_gender():
    rows = own(faces(a=1, b=1, c=1, d=1))
    for row in plan_baselines(["shuffled-within-gender"], rows, OUT, ABOUT, 5):
        assert {row.person, row.job.voice_spec.file.parent.name} in ({"a", "b"}, {"c", "d"})


@pytest.mark.parametrize(
    ("people", "about", "reason"),
    [
        ({"a": 1, "b": 1}, {}, r"2 have none, such as 'a'.*--labels"),
        ({"a": 1, "b": 1, "x": 1}, ABOUT, "1 have none, such as 'x'"),
        ({"a": 1, "b": 1, "c": 1}, ABOUT, "gender male: expected at least two targets"),
    ],
)
def test_shuffled_within_gender_needs_two_of_each(people, about, reason):
    with pytest.raises(FaceVCError, match=reason):
        plan_baselines(["shuffled-within-gender"], own(faces(**people)), OUT, about)


def test_the_mean_face_is_one_file_a_source():
    rows = own(faces(a=2, b=1))
    mean = plan_baselines(["mean-face"], rows, OUT, {})
    assert len(mean) == 6 and [row.person for row in mean] == ["a", "a", "b"] * 2
    assert [job.relative for job in collect_jobs(mean, OUT)] == [
        "baselines/mean-face/s__mean-face.wav",
        "baselines/mean-face/t__mean-face.wav",
    ]
    spec = mean[0].job.voice_spec
    assert [len(files) for files in spec.people] == [2, 1] and spec.file is None and str(spec) == "mean of 3 faces"


def test_the_source_makes_no_file():
    rows = plan_baselines(["source"], own(faces(a=1, b=1)), OUT, {})
    assert [row.job for row in rows] == [None] * 4 and collect_jobs(rows, OUT) == []


def test_the_voice_is_the_first_reference():
    reporter = Notes()
    rows = plan_baselines(["voice"], own(faces(a=2, b=1)), OUT, ABOUT, reporter=reporter)
    assert [row.job.relative for row in rows] == ["baselines/voice/s__a.wav"] * 2 + ["baselines/voice/t__a.wav"] * 2
    assert {row.job.voice_spec for row in rows} == {VoiceSpec.from_file("voice", Path("/r/a1.wav"))}
    assert len(collect_jobs(rows, OUT)) == 2
    assert reporter.notes == ["baseline voice: 1 of 2 targets have no real recording and are left out, such as b"]
    with pytest.raises(FaceVCError, match=r"none of 1 targets has any.*--labels"):
        plan_baselines(["voice"], own(faces(b=1)), OUT, ABOUT)


def test_degraded_faces():
    rows = own(faces(a=1, b=1), sources=("s",))
    worse = plan_degraded(["blur=4", "blur=2+dark=0.3"], rows, OUT)
    assert [row.job.relative for row in worse] == [
        "degraded/blur=4/s__a-0.wav",
        "degraded/blur=4/s__b-0.wav",
        "degraded/blur=2+dark=0.3/s__a-0.wav",
        "degraded/blur=2+dark=0.3/s__b-0.wav",
    ]
    assert (
        worse[3].job.voice_spec == VoiceSpec.from_file("face", Path("faces/b/0.png"), "blur=2+dark=0.3")
        and worse[3].baseline == ""
    )


def test_what_is_asked_for_in_vain():
    rows = own(faces(a=1, b=1))
    with pytest.raises(UsageError, match="shuffled-faces, shuffled-within-gender, mean-face, source, voice"):
        plan_baselines(["shuffled"], rows, OUT, {})
    one = Naming(Path("o.wav"))
    with pytest.raises(UsageError, match="--baseline .*folder"):
        plan_baselines(["source"], rows, one, {})
    with pytest.raises(UsageError, match="--degrade .*folder"):
        plan_degraded(["blur=4"], rows, one)
    voices = [Row(recording("s"), "voice", Path("v.wav"), "v", None)]
    with pytest.raises(UsageError, match="--face"):
        plan_baselines(["source"], voices, OUT, {})
    assert plan_baselines([], voices, one, {}) == plan_degraded([], voices, one) == []
    assert Counter(row.baseline for row in plan_baselines(["source", "source"], rows, OUT, {})) == {"source": 4}
    assert len(plan_baselines(BASELINES, own(faces(a=1, b=1, c=1, d=1)), OUT, ABOUT)) == 4 * 8 + 2


def asked(by, name, spec, source="s"):
    path = spec.files[0]
    return Row(
        recording(source), by, path, name, OUT.make_job(recording(source), spec, name), who="" if by == "face" else name
    )


def people_and_more():
    """A picture, two people of two and three pictures, a card, and a mix of a picture and a recording."""
    pictures = {name: [Path(f"{name}/{i}.png") for i in range(count)] for name, count in (("anna", 2), ("bea", 3))}
    cem, voice = VoiceSpec.from_file("face", Path("cem.png")), VoiceSpec.from_file("voice", Path("v.wav"))
    card = VoiceSpec.from_file("card", Path("dan.safetensors"))
    rows = [
        asked("face", "cem", cem),
        *(asked("person", name, VoiceSpec.from_pictures(name, files)) for name, files in pictures.items()),
    ]
    return [
        *rows,
        asked("card", "dan", card),
        asked("mix", "cem=0.50+v=0.50", VoiceSpec.from_mix([(cem, 1), (voice, 1)])),
        asked("voice", "v", voice),
    ]


def test_people_and_cards_are_shuffled_and_mixes_are_nobody():
    reporter = Notes()
    rows = people_and_more()
    shuffled = plan_baselines(["shuffled-faces"], rows, OUT, {}, 0, reporter)
    assert [row.target_id for row in shuffled] == ["cem", "anna", "bea", "dan"]
    assert {row.job.relative for row in shuffled} == {
        f"s__{name}.wav" for name in ("cem", "anna", "bea", "dan")
    }  # the system's own files
    assert all(row.job.relative != f"s__{row.target_id}.wav" for row in shuffled)
    assert len(reporter.notes) == 1 and "the mix cem=0.50+v=0.50 and 1 more left out" in reporter.notes[0]
    about = {
        name: {"gender": gender, "references": f"/r/{name}.wav"}
        for name, gender in (("anna", "f"), ("bea", "f"), ("cem", "m"), ("dan", "m"))
    }
    within = plan_baselines(["shuffled-within-gender"], rows, OUT, about)
    assert {row.target_id: row.job.relative for row in within} == {
        "anna": "s__bea.wav",
        "bea": "s__anna.wav",
        "cem": "s__dan.wav",
        "dan": "s__cem.wav",
    }
    assert [row.job.voice_spec.file.stem for row in plan_baselines(["voice"], rows, OUT, about)] == [
        "cem",
        "anna",
        "bea",
        "dan",
    ]
    assert [row.target_id for row in plan_baselines(["source"], rows, OUT, {})] == ["cem", "anna", "bea", "dan"]


def test_the_mean_face_is_over_people_with_pictures():
    reporter = Notes()
    mean = plan_baselines(["mean-face"], people_and_more(), OUT, {}, 0, reporter)
    assert [row.target_id for row in mean] == [
        "cem",
        "anna",
        "bea",
    ] and "the voice card dan left out" in reporter.notes[1]
    (spec,) = {row.job.voice_spec for row in mean}
    assert sorted(len(files) for files in spec.people) == [1, 2, 3]


def test_a_person_and_her_picture_are_one():
    """However they are called: nobody is driven by her own picture."""
    one, two = Path("anna/0.png"), Path("anna/1.png")
    pictures = {"0": one, "1": two} | {name: Path(f"{name}.png") for name in "xyz"}
    rows = [asked("face", name, VoiceSpec.from_file("face", path)) for name, path in pictures.items()]
    rows.append(asked("person", "anna", VoiceSpec.from_pictures("anna", [one, two])))
    for seed in range(20):
        for row in plan_baselines(["shuffled-faces"], rows, OUT, {}, seed):
            assert not set(row.job.voice_spec.files) & {one, two} or row.target_id in "xyz"
    (mean,) = {row.job.voice_spec for row in plan_baselines(["mean-face"], rows, OUT, {})}
    assert sorted(map(sorted, mean.people)) == [[one, two], [Path("x.png")], [Path("y.png")], [Path("z.png")]]


def test_every_picture_of_a_person_and_a_mix_is_degraded():
    reporter = Notes()
    rows = plan_degraded(["blur=4"], people_and_more(), OUT, reporter)
    assert [row.job.relative for row in rows] == [
        f"degraded/blur=4/s__{name}.wav" for name in ("cem", "anna", "bea", "cem=0.50+v=0.50")
    ]
    assert len(reporter.notes) == 1 and "the voice card dan and 1 more left out" in reporter.notes[0]
    assert [str(row.job.voice_spec) for row in rows[1:]] == [
        "person anna (2 pictures) (blur=4)",
        "person bea (3 pictures) (blur=4)",
        "mix of cem.png 0.50 and v.wav 0.50 (blur=4)",
    ]
    mix = rows[3].job.voice_spec
    assert [(part.kind, part.degradation) for part, _ in mix.parts] == [
        ("face", "blur=4"),
        ("voice", ""),
    ] and mix.degradation == "blur=4"


@pytest.mark.parametrize(
    ("kinds", "option", "reason"),
    [
        ({"mix"}, "baseline", r"somebody.* the mix cem=0\.50\+v=0\.50: .*Pass --face or --person"),
        ({"voice", "mix"}, "baseline", "and 1 more: "),
        ({"card"}, "mean", "pictures to take the mean of, and found the voice card dan: "),
        ({"card", "voice"}, "degrade", "pictures to degrade, and found the voice card dan and 1 more: "),
    ],
)
def test_where_there_is_nothing_to_run(kinds, option, reason):
    rows = [row for row in people_and_more() if row.kind in kinds]
    with pytest.raises(UsageError, match=reason):
        if option == "degrade":
            plan_degraded(["blur=4"], rows, OUT)
        else:
            plan_baselines(["mean-face" if option == "mean" else "shuffled-faces"], rows, OUT, {})


def test_two_things_in_one_place():
    """A source and a face that are called after a baseline's file."""
    rows = own([*faces(a=1), (Path("mean-face.png"), "mean-face")], sources=("s", "baselines/mean-face/s"))
    planned = [*rows, *plan_baselines(["mean-face"], rows, OUT, {})]
    with pytest.raises(
        FaceVCError,
        match=r"mean-face/s\.wav with mean-face\.png and s\.wav with mean of 2 faces would both be written to .*--name",
    ):
        collect_jobs(planned, OUT)
