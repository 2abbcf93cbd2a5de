"""Pictures: decoded by Pillow within bounds, of the declared format, with nothing behind their end."""

from __future__ import annotations

import io
import warnings

from PIL import Image as Pillow
from PIL import ImageFile, UnidentifiedImageError

from appliance.runtime.errors import Refused
from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds import endings
from gateway.filters.inspection.kinds.kind import Whole

MOST_PIXELS = 120_000_000  # of all frames: some 360 MB once decoded
MOST_FRAMES = 1000
FORMATS = {
    "image/gif": ("GIF", endings.gif), "image/jpeg": ("JPEG", endings.jpeg), "image/png": ("PNG", endings.png),
    "image/webp": ("WEBP", endings.webp), "image/avif": ("AVIF", endings.boxes),
}  # fmt: skip

ImageFile.LOAD_TRUNCATED_IMAGES = False
Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS
Pillow.preinit()
Pillow.init()


class Image(Whole):
    """One picture."""

    largest = 64 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what does not decode, is of another format, too many pixels, or goes on behind its end."""
        name, end = FORMATS[self.told.type]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the bound below is ours
                self._decode(data, name)
        except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning, MemoryError) as error:
            raise refusal.bomb(f"the picture is too large: {str(error)[:200]}") from error
        except Refused:
            raise
        except Exception as error:  # (decoders raise whatever a damaged file makes them stumble over)
            raise refusal.malformed(f"the picture does not decode: {str(error)[:200]}") from error
        ends = end(data)
        if ends != len(data):
            raise refusal.polyglot(f"the picture ends at byte {ends}, and {len(data) - ends} bytes follow")

    def _decode(self, data: bytes, name: str) -> None:
        try:
            picture = Pillow.open(io.BytesIO(data), formats=[name])
        except UnidentifiedImageError as error:
            raise refusal.mismatch(f"{self.told.type} is declared, and this is no {name}") from error
        with picture:
            frames = 0
            pixels = 0
            while True:
                pixels += picture.width * picture.height
                frames += 1
                if pixels > MOST_PIXELS or frames > MOST_FRAMES:
                    raise refusal.bomb(f"{pixels} pixels in {frames} frames")
                picture.load()
                try:
                    picture.seek(frames)
                except EOFError:
                    return
