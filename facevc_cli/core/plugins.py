"""Plug-ins of other packages: entry points, looked up when a user asks for a name that facevc itself does not have."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from facevc_cli.core.errors import FaceVCError, UsageError


@dataclass(frozen=True)
class Plugins:
    """One kind of plug-in.

    group: of its entry points. option: the command line option that takes the name. what: what one plug-in is called.
    own: facevc's own names, which have priority. otherwise: what else the option accepts, for the error message.
    """

    group: str
    option: str
    what: str
    own: Sequence[str] = ()
    otherwise: str = ""

    def find_installed(self) -> dict[str, EntryPoint]:
        """Find the entry points, sorted by name. One that has a name of facevc's own is ignored."""
        found = {point.name: point for point in entry_points(group=self.group) if point.name not in self.own}
        return dict(sorted(found.items()))

    def find(self, name: str) -> EntryPoint:
        """Find the entry point of a name. If it is not installed, UsageError lists the known names."""
        found = self.find_installed()
        if name not in found:
            there = ", ".join([*self.own, *found]) or "none"
            also = f", or {self.otherwise}" if self.otherwise else ""
            raise UsageError(
                f"{self.option} {name}: no {self.what} of this name is installed. There are: {there}{also}. Others "
                f"come with packages that have an entry point in the group {self.group}."
            )
        return found[name]

    def load(self, name: str) -> Any:
        """Import the object of an entry point. UsageError as `find`; FaceVCError if the import fails."""
        point = self.find(name)
        try:
            return point.load()
        except Exception as error:  # a plug-in may raise anything
            raise self._make_load_error(name, error) from error

    def make(self, name: str, *arguments: object) -> Any:
        """Load the object and call it with the arguments.

        UsageError as `find`; FaceVCError if the import or the call fails.
        """
        maker = self.load(name)
        try:
            return maker(*arguments)
        except FaceVCError:
            raise
        except Exception as error:
            raise self._make_load_error(name, error) from error

    def describe_release(self, name: str) -> str:
        """'package-1.2': the package that provides the name."""
        package = self.find(name).dist
        return f"{package.name}-{package.version}" if package else ""

    def _make_load_error(self, name: str, error: Exception) -> FaceVCError:
        return FaceVCError(
            f"{self.option} {name}: it is installed but does not load ({type(error).__name__}: {error}). See its "
            "package's own notes."
        )
