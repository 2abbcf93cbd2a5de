"""Media type -> the kind that looks at it. What is not here does not pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.boxes import Boxes
from gateway.filters.inspection.kinds.captions import Captions
from gateway.filters.inspection.kinds.document import Pdf
from gateway.filters.inspection.kinds.heads import Font, Model, WebAssembly
from gateway.filters.inspection.kinds.images import Image
from gateway.filters.inspection.kinds.kind import Kind, Told
from gateway.filters.inspection.kinds.markup import Dash, Xml
from gateway.filters.inspection.kinds.opaque import Opaque
from gateway.filters.inspection.kinds.packed import Packed
from gateway.filters.inspection.kinds.playlist import Playlist
from gateway.filters.inspection.kinds.sound import Frames, Head
from gateway.filters.inspection.kinds.structured import Json
from gateway.filters.inspection.kinds.text import Application, Subtitles, Text
from gateway.filters.inspection.kinds.transport import Transport

KINDS: Mapping[str, Callable[[Told], Kind]] = {
    "application/dash+xml": Dash,
    "application/epub+zip": Packed,
    "application/json": Json,
    "application/octet-stream": Opaque,
    "application/pdf": Pdf,
    "application/vnd.apple.mpegurl": Playlist,
    "application/wasm": WebAssembly,
    "application/x-subrip": Subtitles,
    "application/xml": Xml,
    "audio/aac": Frames,
    "audio/flac": Head,
    "audio/mp4": Boxes,
    "audio/mpeg": Frames,
    "audio/ogg": Head,
    "audio/webm": Head,
    "font/otf": Font,
    "font/ttf": Font,
    "font/woff": Font,
    "font/woff2": Font,
    "image/avif": Image,
    "image/gif": Image,
    "image/jpeg": Image,
    "image/png": Image,
    "image/svg+xml": Xml,
    "image/webp": Image,
    "model/gltf+json": Model,
    "model/gltf-binary": Model,
    "model/vnd.usdz+zip": Packed,
    "text/css": Application,
    "text/html": Application,
    "text/javascript": Application,
    "text/markdown": Text,
    "text/plain": Text,
    "text/vtt": Captions,
    "video/iso.segment": Boxes,
    "video/mp2t": Transport,
    "video/mp4": Boxes,
    "video/webm": Head,
}


def kind_of(told: Told) -> Kind:
    """Return what looks at an object of the told type.

    Raises:
        Refused: nothing can (``unknown-type``), or it cannot pass whatever its bytes are.
    """
    make = KINDS.get(told.type)
    if make is None:
        raise refusal.unknown_type(f"nothing here can look into {told.type}")
    return make(told)
