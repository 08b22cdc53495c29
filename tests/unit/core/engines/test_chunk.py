"""core/engines/chunk.py: what one worker does, and what is kept when it ends early."""

import pickle
from pathlib import Path

import pytest
from helpers.engine_work import FileKeeper, half, list_kept

from facevc_cli.core.engines.chunk import Chunk, cut


def test_a_full_disk_is_the_error_of_the_results_that_were_not_written(tmp_path: Path):
    outcomes = Chunk(half, [0, 2, 4, 5, 6, 8, 10], FileKeeper(tmp_path, size=3, refused=3))()
    said = [error and str(error) for _, error in outcomes]
    # 0 1 2 are written together; 5 fails by itself; 3 4 5 are refused together
    assert said == [None, None, None, "5 is odd", *["the disk is full"] * 3]
    assert list_kept(tmp_path) == [[0, 1, 2]] and not any(result for result, _ in outcomes)


def test_a_chunk_that_ends_early_has_written_what_was_finished_and_goes_on_from_there(tmp_path: Path):
    seen: list[int] = []

    def stop_at_six(number: int) -> int:
        seen.append(number)
        if number == 6 and seen.count(6) == 1:
            raise KeyboardInterrupt
        return number

    chunk = Chunk(stop_at_six, [1, 2, 3, 4, 6, 7], FileKeeper(tmp_path, size=3))
    with pytest.raises(KeyboardInterrupt):
        chunk()
    assert list_kept(tmp_path) == [[1, 2, 3], [4]] and chunk.outcomes == [(None, None)] * 4
    assert chunk() == [(None, None)] * 6
    assert list_kept(tmp_path) == [[1, 2, 3], [4], [6, 7]] and seen == [1, 2, 3, 4, 6, 6, 7]


def test_a_pickled_chunk_knows_what_is_done():
    chunk = Chunk(half, [2, 4, 7, 8])
    chunk.outcomes = [(1, None), (2, None)]
    again = pickle.loads(pickle.dumps(chunk))
    assert [result for result, _ in again()] == [1, 2, None, 4] and str(again.outcomes[2][1]) == "7 is odd"


def test_submitit_is_told_to_call_the_chunk_again():
    pytest.importorskip("submitit")
    chunk = Chunk(half, [2])
    assert chunk.checkpoint().function is chunk


def test_pieces():
    assert list(cut("abcdefg", 3)) == ["abc", "def", "g"] and list(cut([], 3)) == []
