"""A file for HDF5 that never fails.

If a write fails, the HDF5 library crashes the process or continues in a broken state.
"""

import os
from pathlib import Path
from types import TracebackType


class SteadyFile:
    """The methods that h5py needs of a Python file object. `check` raises the first failure.

    After a failed write the content stays in memory. HDF5 reads its own writes again, so its state stays correct and
    the file closes in order. Call `check` after every item, so that little is kept in memory.
    """

    def __init__(self, path: Path):
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by __exit__)
        self._error: OSError | None = None
        self._place = self._size = 0  # the size that HDF5 believes
        self._kept: list[tuple[int, bytes]] = []  # position and bytes of failed writes

    def __enter__(self) -> "SteadyFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def check(self) -> None:
        """Raises the OSError of the first write that failed."""
        if self._error is not None:
            raise self._error

    def sync(self) -> None:
        """Waits until the content is on the disk. Failures are raised."""
        self.check()
        os.fsync(self._file.fileno())

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        if self._error is None:
            try:
                self._write_all(view, self._place)
            except OSError as error:
                self._error = error
        if self._error is not None:
            self._kept.append((self._place, bytes(view)))
        self._place += len(view)
        self._size = max(self._size, self._place)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._size = self._place if size is None else size
        if self._error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self._error = error
        return self._size

    def flush(self) -> None:
        """Nothing is buffered here."""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        found = bytearray(max(0, self._size - self._place) if size < 0 else size)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))  # unwritten bytes are 0, as in any file
        try:
            written = os.pread(self._file.fileno(), len(view), self._place)
            view[: len(written)] = written
        except OSError as error:
            self._error = self._error or error
        for start, data in self._kept:
            first, last = max(start, self._place), min(start + len(data), self._place + len(view))
            if first < last:
                view[first - self._place : last - self._place] = data[first - start : last - start]
        self._place += len(view)
        return len(view)

    def _write_all(self, data: memoryview, place: int) -> None:
        while data:  # a disk that fills up takes the first bytes and fails at the next
            count = os.pwrite(self._file.fileno(), data, place)
            data, place = data[count:], place + count
