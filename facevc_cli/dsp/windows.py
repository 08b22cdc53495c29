"""Splits long sequences into windows of one length.

Each has enough context that its middle equals that of the whole.
"""

from collections.abc import Iterator


def place_windows(total: int, size: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yields (first, start, end): a window begins at frame `first`, and the output frames start .. end are kept.

    All windows have `size` frames. The first and the last touch the sequence's ends. A sequence of up to `size` frames
    is one window.
    context: the number of frames on either side that a frame depends on; size > 2 * context.
    """
    start = 0
    while start < total:
        first = max(0, min(start - context, total - size))
        end = total if first + size >= total else first + size - context
        yield first, start, end
        start = end
