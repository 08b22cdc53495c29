"""Long sequences in windows of one length, each with the context that makes its middle equal to the whole's."""

from collections.abc import Iterator


def place_windows(total: int, size: int, context: int) -> Iterator[tuple[int, int, int]]:
    """(first, start, end): a window begins at frame `first`, and of what comes out of it start .. end are kept.

    All windows have `size` frames, also the first and the last, which lie against the sequence's ends, where there is nothing to look
    at; up to `size` frames are one window. `context`: the frames on either side that a frame depends on; size > 2 * context.
    """
    start = 0
    while start < total:
        first = max(0, min(start - context, total - size))
        end = total if first + size >= total else first + size - context
        yield first, start, end
        start = end
