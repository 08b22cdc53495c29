"""What a file that was made from a text says of itself."""

from facevc_cli.provenance.metadata import describe_provenance, format_comment, parse_comment

ABOUT = {"text_sha256": "17f4444f3932f8a1", "engine": "kokoro", "engine_voice": "af_heart"}


def test_a_text_is_named_and_a_recording_has_none_of_its_fields():
    made = describe_provenance("k" * 16, "starter", "m" * 64, "s" * 64, ["f" * 64], about=ABOUT)
    comment = format_comment(made, "story.txt", "face anna.jpg")
    assert "made from text by facevc" in comment and "from story.txt in the voice of the face anna.jpg" in comment
    assert parse_comment(comment) == made and {**made.as_dict(), **ABOUT} == made.as_dict()
    plain = describe_provenance("k" * 16, "starter", "m" * 64, "s" * 64, ["f" * 64])
    assert not ABOUT.keys() & plain.as_dict().keys()
    assert "voice converted by facevc" in format_comment(plain, "a.wav", "face anna.jpg")


def test_wrong_types_are_not_ours():
    made = describe_provenance("k" * 16, "starter", "m" * 64, "s" * 64, ["f" * 64], about=ABOUT)
    comment = format_comment(made, "story.txt", "face anna.jpg")
    assert parse_comment(comment.replace('"engine": "kokoro"', '"engine": 3')) is None
