"""What other packages bring under a name: entry points, found when a name is asked for that facevc does not know itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from facevc_cli.core.errors import FaceVCError, UsageError


@dataclass(frozen=True)
class Plugins:
    """One kind of thing that a package may add. group: of the entry points; option: which asks for them by name; what: one of them.

    own: the names that facevc itself knows, which come first; otherwise: what the option takes besides names, for the error.
    """

    group: str
    option: str
    what: str
    own: Sequence[str] = ()
    otherwise: str = ""

    def installed(self) -> dict[str, EntryPoint]:
        """The entry points by name, sorted, without those that would hide a name of facevc's own."""
        found = {point.name: point for point in entry_points(group=self.group) if point.name not in self.own}
        return dict(sorted(found.items()))

    def find(self, name: str) -> EntryPoint:
        """The entry point of a name; UsageError that lists what there is where none is installed."""
        found = self.installed()
        if name not in found:
            there = ", ".join([*self.own, *found]) or "none"
            also = f", or {self.otherwise}" if self.otherwise else ""
            raise UsageError(
                f"{self.option} {name}: no {self.what} of this name is installed. There are: {there}{also}. Others come with packages that "
                f"have an entry point in the group {self.group}."
            )
        return found[name]

    def load(self, name: str) -> Any:
        """The object that the entry point names. UsageError as `find`; FaceVCError where importing it fails."""
        point = self.find(name)
        try:
            return point.load()
        except Exception as error:  # another package's: it may raise anything
            raise self._broken(name, error) from error

    def make(self, name: str, *arguments: object) -> Any:
        """What that object gives when called with the arguments. UsageError as `find`; FaceVCError where it does not load."""
        maker = self.load(name)
        try:
            return maker(*arguments)
        except FaceVCError:
            raise
        except Exception as error:
            raise self._broken(name, error) from error

    def release(self, name: str) -> str:
        """'package-1.2', which brings the name."""
        package = self.find(name).dist
        return f"{package.name}-{package.version}" if package else ""

    def _broken(self, name: str, error: Exception) -> FaceVCError:
        return FaceVCError(
            f"{self.option} {name}: it is installed but does not load ({type(error).__name__}: {error}). See its package's own notes."
        )
