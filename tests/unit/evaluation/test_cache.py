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
