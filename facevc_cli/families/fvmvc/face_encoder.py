"""Maps a face embedding to the space of the voice embeddings. Source: Sheng et al., arXiv 2309.09470."""

from facevc_cli.families.fvmvc.speaker_encoder import ChannelAttention


class FaceEncoder(ChannelAttention):
    """Channel attention on a face recogniser's embedding: (B, face_dim) -> (B, voice_dim), of unit length."""

    def __init__(self, face_dim: int = 512, voice_dim: int = 256) -> None:
        super().__init__(face_dim, voice_dim)
