"""benchmark/protocol.py: what the packaged protocols count, who is drawn, and what is said where the data
fall short.
"""

import random
from pathlib import Path

import pytest

from facevc_cli.benchmark.protocol import (
    Protocol,
    ReferenceCounts,
    SourceCounts,
    TargetCounts,
    TextCounts,
    draw,
    draw_spoken,
    limit_references,
    list_protocols,
    load_protocol,
)
from facevc_cli.core.errors import FaceVCError

SMALL = Protocol("small", SourceCounts(2, 2), TargetCounts(3, 2), ReferenceCounts(1, 10))
GENDERS = ("female", "male")


def speech(speakers: int, utterances: int, prefix: str = "s"):
    """Sources and their table: as many speakers of each gender."""
    ids = [
        (f"{prefix}-{g}-{i}", f"{prefix}-{g}-{i}/{k}", g)
        for g in GENDERS
        for i in range(speakers)
        for k in range(utterances)
    ]
    return [(Path(f"wavs/{name}.wav"), name) for _, name, _ in ids], [
        {"source_id": n, "speaker": s, "gender": g} for s, n, g in ids
    ]


def pictures(people: int, images: int, references: int = 1, prefix: str = "t"):
    named = [(f"{prefix}-{g}-{i}", g) for g in GENDERS for i in range(people)]
    files = [(Path(f"faces/{who}/{k}.jpg"), f"{who}/{k}") for who, _ in named for k in range(images)]
    return files, [
        {"target": who, "gender": g, "references": "|".join(f"{who}-{n}.wav" for n in range(references))}
        for who, g in named
    ]


def drawn(protocol, sources, faces, seed=0):
    return draw(protocol, sources[0], faces[0], sources[1], faces[1], seed)


def people_of(named):
    return {identifier.split("/")[0] for _, identifier in named}


@pytest.mark.parametrize(
    ("name", "sources", "faces", "conversions"),
    [("paper", 24, 24, 576), ("hyface", 100, 100, 10_000), ("held-out", 24, 24, 576)],
)
def test_packaged_protocols_count_what_they_say(name, sources, faces, conversions):
    protocol = load_protocol(name)
    assert protocol.conversions == conversions and protocol.name == name
    kept = drawn(protocol, speech(60, 7), pictures(60, 4))
    assert (len(kept[0]), len(kept[1])) == (sources, faces)
    assert name in list_protocols()
    assert load_protocol("paper").sources == SourceCounts(2, 6)
    assert load_protocol("hyface").references == ReferenceCounts(1, 10)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("sources: {speakers: 1, utterances: 2}\ntargets: {people: 3, images: 1}\n")
    assert load_protocol(str(path)) == Protocol("mine", SourceCounts(1, 2), TargetCounts(3, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sources: {speakers: 1, utterances: 1}\ntargets: {people: 1, image: 1}\n",
            "no setting 'image'. Did you mean 'images'",
        ),
        ("sources: {speakers: 1, utterances: 1}\n", "targets: people: expected 1 or more, found 0"),
        ("sources: {speakers: two, utterances: 1}\n", "expected int, found 'two'"),
        (
            "sources: {speakers: 1, utterances: 1}\ntargets: {people: 1, images: 1}\nreferences: {least: 5, most: 3}\n",
            "least 5, most 3",
        ),
        ("- 1\n", "expected a YAML mapping"),
    ],
)
def test_a_file_that_is_off(tmp_path, text, message):
    path = tmp_path / "off.yaml"
    path.write_text(text)
    with pytest.raises(FaceVCError) as error:
        load_protocol(str(path))
    assert message in str(error.value) and str(path) in str(error.value)


def test_an_unknown_protocol_names_those_there_are():
    with pytest.raises(FaceVCError, match="'papre': expected one of face-tts, held-out, hyface, paper, or a YAML file"):
        load_protocol("papre")


def test_a_draw_is_balanced_and_full():
    sources, faces = drawn(SMALL, speech(5, 3), pictures(6, 4))
    assert (len(sources), len(faces)) == (2 * 2 * 2, 2 * 3 * 2)
    assert [name for _, name in sources + faces] == sorted(name for _, name in sources) + sorted(
        name for _, name in faces
    )
    for kept, speakers, each in ((sources, 2, 2), (faces, 3, 2)):
        assert len(people_of(kept)) == 2 * speakers and len(set(kept)) == len(kept)
        for gender in GENDERS:
            assert sum(f"-{gender}-" in who for who in people_of(kept)) == speakers
        assert all(sum(identifier.startswith(f"{who}/") for _, identifier in kept) == each for who in people_of(kept))


def test_the_seed_decides_and_the_order_does_not():
    (heard, about), (seen, known) = speech(8, 3), pictures(8, 4)
    first = draw(SMALL, heard, seen, about, known, 0)
    rng = random.Random(7)
    for rows in (heard, about, seen, known):
        rng.shuffle(rows)
    assert draw(SMALL, heard, seen, about, known, 0) == first
    assert draw(SMALL, heard, seen, about, known, 1) != first
    assert len({tuple(sorted(people_of(draw(SMALL, heard, seen, about, known, seed)[1]))) for seed in range(20)}) > 10


def test_who_is_too_short_is_passed_over():
    heard, about = speech(2, 2)
    few, about_few = speech(9, 1, "few")
    seen, known = pictures(3, 2)
    dull, about_dull = pictures(9, 1, prefix="dull")
    mute, about_mute = pictures(9, 2, references=0, prefix="mute")
    for seed in range(5):
        sources, faces = draw(
            SMALL, heard + few, seen + dull + mute, about + about_few, known + about_dull + about_mute, seed
        )
        assert people_of(sources) == {f"s-{g}-{i}" for g in GENDERS for i in range(2)}
        assert people_of(faces) == {f"t-{g}-{i}" for g in GENDERS for i in range(3)}


def test_every_lack_is_named():
    heard, about = speech(1, 2)
    seen, known = pictures(3, 2)
    known = [row for row in known if row["target"] != "t-male-2"]
    with pytest.raises(FaceVCError) as error:
        draw(SMALL, heard, seen, about, known, 0)
    said = str(error.value)
    assert "expected 2 female source speakers with 2 utterances, found 1;" in said
    assert "expected 2 male source speakers with 2 utterances, found 1;" in said
    assert "expected 3 male target people with 2 images and 1 real recording, found 2 " in said
    assert "female target" not in said
    assert "0 of the speakers and 1 of the people have no gender" in said


def test_without_tables_nobody_has_a_gender():
    with pytest.raises(FaceVCError, match="found 0.*10 of the speakers and 6 of the people have no gender"):
        draw(SMALL, speech(5, 1)[0], pictures(3, 2)[0], [], [], 0)  # without a table every utterance is its own speaker


def test_a_source_without_speaker_is_its_own():
    heard, about = speech(2, 2)
    single = Protocol("single", SourceCounts(4, 1), TargetCounts(1, 1))
    sources, _ = draw(single, heard, pictures(1, 1)[0], [{**row, "speaker": ""} for row in about], pictures(1, 1)[1], 0)
    assert sorted(sources) == sorted(heard)


@pytest.mark.parametrize("seed", range(10))
def test_nobody_is_source_and_target(seed):
    """Five people of each gender who are heard and seen: two speak, three are shown, whoever is drawn first."""
    sources, faces = drawn(SMALL, speech(5, 2, "p"), pictures(5, 2, prefix="p"), seed)
    assert (len(people_of(sources)), len(people_of(faces))) == (4, 6)
    assert not people_of(sources) & people_of(faces)
    with pytest.raises(FaceVCError, match="expected 2 female source speakers with 2 utterances, found 1;"):
        drawn(SMALL, speech(4, 2, "p"), pictures(4, 2, prefix="p"), seed)


def test_a_person_of_two_genders_is_an_error():
    heard, about = speech(5, 2)
    seen, known = pictures(3, 2)
    with pytest.raises(FaceVCError, match=r"'s-female-0' is female in one row and male in another"):
        draw(SMALL, heard, seen, [{**about[0], "gender": "M"}, *about[1:]], known, 0)
    with pytest.raises(FaceVCError, match=r"'t-female-0' is female in one row and male in another"):
        draw(SMALL, heard, seen, about, [*known, {**known[0], "gender": "male"}], 0)


def test_references_are_limited_by_the_seed():
    names = [f"{n:02d}.wav" for n in range(20)]
    kept = limit_references(SMALL, names, 0)
    assert len(kept) == 10 and kept == sorted(kept) and set(kept) < set(names)
    assert limit_references(SMALL, names[::-1], 0) == kept != limit_references(SMALL, names, 1)
    assert limit_references(SMALL, names[:3] * 2, 0) == names[:3]


# protocols of speaking

SPOKEN = Protocol("spoken", targets=TargetCounts(2, 2), texts=TextCounts(3))


def test_a_protocol_has_sources_or_texts(tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text("sources: {speakers: 1}\ntexts: {count: 2}\ntargets: {people: 1, images: 1}\n")
    with pytest.raises(FaceVCError, match="expected sources or texts, found both"):
        load_protocol(str(path))


def test_every_lack_of_a_spoken_protocol_is_named():
    seen, known = pictures(2, 2, references=0)
    with pytest.raises(FaceVCError) as error:
        draw_spoken(SPOKEN, ["a", "b"], seen, [row for row in known if row["target"] != "t-male-1"], 0)
    said = str(error.value)
    assert "expected 3 texts, found 2; expected 2 male target people with 2 images, found 1 (1 of the people" in said


def test_a_spoken_draw_is_balanced_keeps_the_order_and_depends_on_the_seed():
    seen, known = pictures(5, 3, references=0)
    texts = [f"text-{i}" for i in (3, 1, 4, 0, 2)]
    draws = [draw_spoken(SPOKEN, texts, seen, known, seed) for seed in range(20)]
    for said, faces in draws:
        assert len(said) == 3 and said == [text for text in texts if text in said]
        assert len(faces) == 8 and sum("-female-" in who for who in people_of(faces)) == 2 == len(people_of(faces)) / 2
    assert draws[0] == draw_spoken(SPOKEN, texts, seen[::-1], known[::-1], 0)
    assert len({tuple(said) for said, _ in draws}) > 3 and len({tuple(faces) for _, faces in draws}) > 10


def test_face_tts_counts_what_it_says():
    protocol = load_protocol("face-tts")
    assert protocol.is_spoken and protocol.conversions == 20 * 24 * 2 == 960
    assert not load_protocol("paper").is_spoken
