"""Zero-shot CLIP: the sentence against the mean of the frames, nothing learned for video."""

from __future__ import annotations

from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.dot import MeanDot
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import frame_set, sentence_set
from vidsift.types import TokenSet

__all__ = ["ZeroShot"]


class ZeroShot(Method):
    """CLIP as it comes: cosine of the end-of-text token with the mean class token of the frames.

    Use it to search at once without training, and as the number that a trained method has to beat. It needs
    nothing but a CLIP. It gives up what only several frames together show (order, change), and forgets in
    the mean what one frame alone does.

    Source: Radford et al., arXiv 2103.00020; the mean over frames as in CLIP4Clip (arXiv 2104.08860), meanP.

    Args:
        towers: the CLIP towers.

    Example:
        ``Model.create("zero_shot", *clip)``
    """

    def __init__(self, towers: ClipTowers) -> None:
        """See the class."""
        super().__init__(towers, [Term("sentence", "frame", MeanDot())])

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "sentence" ``(Q, 1, D)``."""
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``."""
        return {
            "frame": frame_set(self.towers.encode_frame_classes(pixels_BF3SS, mask_BF), mask_BF, times_BF)
        }
