"""evaluation/cache.py: what is remembered survives damage."""

import numpy as np

from facevc_cli.evaluation.cache import Cache


def test_cache_survives_damage_and_keeps_texts(tmp_path):
    path = tmp_path / "cache" / "texts.npz"
    cache = Cache(path)
    cache.put("k", np.array(["une phrase, longue", "fr"]))
    cache.save()
    assert Cache(path).get("k").tolist() == ["une phrase, longue", "fr"]
    path.write_bytes(b"broken")
    assert Cache(path).get("k") is None


def test_a_large_cache_is_not_written_again_and_again(tmp_path, monkeypatch):
    """Saving takes at most a twentieth of the time, here by a clock that only saving moves."""
    clock = [0.0]
    monkeypatch.setattr("facevc_cli.evaluation.cache.time.monotonic", lambda: clock[0])
    cache, saved = Cache(tmp_path / "numbers.npz"), []

    def save():
        saved.append(len(cache._rows))
        clock[0] += 2.5

    monkeypatch.setattr(cache, "save", save)
    for i in range(1000):
        cache.put(f"{i}", np.zeros(2))
        clock[0] += 0.125
    assert saved == [100, 500, 900]  # 2.5 s of saving, then 50 s without; a row takes 0.125 s
