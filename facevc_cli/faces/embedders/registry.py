"""Which face embedders there are: facevc's own, and those of other packages."""

from facevc_cli.core.plugins import Plugins
from facevc_cli.faces.embedders.base import Embedder
from facevc_cli.faces.embedders.dlib import DlibEmbedder
from facevc_cli.faces.embedders.facenet import FacenetEmbedder
from facevc_cli.faces.embedders.fused import FusedEmbedder
from facevc_cli.faces.embedders.packaged import PackagedEmbedder

# Each class takes the device of its torch networks.
_OWN: dict[str, type[DlibEmbedder] | type[FacenetEmbedder] | type[FusedEmbedder]] = {
    "dlib": DlibEmbedder,
    "fused": FusedEmbedder,
    "facenet": FacenetEmbedder,
}
EMBEDDERS = tuple(_OWN)
PLUGINS = Plugins("facevc.face_embedders", "--embedder", "face embedder", EMBEDDERS)


def make_embedder(name: str, device: str = "cpu") -> Embedder:
    """Loads an embedder. UsageError if no installed package brings the name, FaceVCError if it does not load."""
    return _OWN[name](device) if name in _OWN else PackagedEmbedder(name, PLUGINS)


def describe_weights(name: str) -> str:
    """Returns the text that identifies an embedder's network. Loads none of facevc's own. Errors as `make_embedder`."""
    return _OWN[name].weights if name in _OWN else PackagedEmbedder(name, PLUGINS).weights
