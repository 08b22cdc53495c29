"""A file for HDF5 to write to. The library crashes the process where a write fails; this one keeps the failure for later."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType


class SteadyFile:
    """What h5py asks of a Python file object. After a failed write everything more is swallowed; `check` raises the failure."""

    def __init__(self, path: Path):
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by __exit__)
        self._error: OSError | None = None

    def __enter__(self) -> "SteadyFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()

    def check(self) -> None:
        """Raises the OSError of the first write that failed."""
        if self._error is not None:
            raise self._error

    def sync(self) -> None:
        """Onto the disk, failures included."""
        self.check()
        os.fsync(self._file.fileno())

    def write(self, data: bytes | memoryview) -> int:
        self._attempt(lambda: self._write_all(memoryview(data).cast("B")))
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self._attempt(lambda: self._file.truncate(size))
        return self._file.tell() if size is None else size

    def flush(self) -> None:
        self._attempt(self._file.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer)

    def _write_all(self, data: memoryview) -> None:
        while data:  # a disk that fills up takes the first bytes and fails at the next
            data = data[self._file.write(data) :]

    def _attempt(self, action: Callable[[], object]) -> None:
        if self._error is None:
            try:
                action()
            except OSError as error:
                self._error = error
