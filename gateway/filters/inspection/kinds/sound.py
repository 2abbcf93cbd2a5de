"""Sound: MP3 and AAC, frame by frame."""

from __future__ import annotations

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s, MPEG-1 layer III
RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG-2 and 2.5
SAMPLES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
LARGEST_TAG = 16 << 20  # bytes of an ID3 tag with its picture


class Frames:
    """MP3 or AAC (ADTS): a tag, then frames up to the end."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._aac = told.type == "audio/aac"
        self._rest, self._skip, self._first, self._frames = b"", 0, True, 0

    def feed(self, data: bytes) -> None:
        """Walk on from frame to frame."""
        data = self._rest + data
        at = 0
        while True:
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                if self._skip:
                    break
            if len(data) - at < 10:
                break
            self._skip = self._size(data[at : at + 10])
            self._first = False
        self._rest = data[at:]

    def finish(self) -> None:
        """Refuse what holds no frame, or ends in something else."""
        tail = self._rest
        if tail and not (tail.startswith((b"TAG", b"\0")) or self._skip or len(tail) < 10):
            raise refusal.malformed("something else follows the sound")
        if not self._frames:
            raise refusal.mismatch("there is no sound in this file")

    def _size(self, head: bytes) -> int:
        if self._first and head[:3] == b"ID3":
            size = 10 + ((head[6] & 127) << 21 | (head[7] & 127) << 14 | (head[8] & 127) << 7 | (head[9] & 127))
            if size > LARGEST_TAG:
                raise refusal.bomb(f"a tag of {size} bytes")
            return size
        if head[:3] == b"TAG":
            return 128
        size = _adts(head) if self._aac else _mp3(head)
        if size < 7:
            if not self._frames:
                raise refusal.mismatch("this begins with no frame of sound")
            raise refusal.malformed("something stands between two frames of sound")
        self._frames += 1
        return size


def _adts(head: bytes) -> int:
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _mp3(head: bytes) -> int:
    version, layer, rate, samples = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or rate in (0, 15) or samples == 3:
        return 0
    kbits = RATES[rate] if version == 3 else RATES_2[rate]
    return (144 if version == 3 else 72) * kbits * 1000 // SAMPLES[version][samples] + (head[2] >> 1 & 1)
