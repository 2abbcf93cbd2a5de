"""Media type -> the kind that looks at it. What is not here does not pass.

The kinds are named, and imported when they are wanted: a process that looks at media needs no library, and is small.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Kind, Told

KINDS: Mapping[str, str] = {
    "application/dash+xml": "markup:Dash",
    "application/epub+zip": "packed:Packed",
    "application/json": "structured:Json",
    "application/octet-stream": "opaque:Opaque",
    "application/pdf": "document:Pdf",
    "application/vnd.apple.mpegurl": "playlist:Playlist",
    "application/wasm": "heads:WebAssembly",
    "application/x-subrip": "text:Subtitles",
    "application/xml": "markup:Xml",
    "audio/aac": "sound:Frames",
    "audio/flac": "flac:Flac",
    "audio/mp4": "boxes:Boxes",
    "audio/mpeg": "sound:Frames",
    "audio/ogg": "ogg:Ogg",
    "audio/webm": "webm:WebM",
    "font/otf": "heads:Font",
    "font/ttf": "heads:Font",
    "font/woff": "heads:Font",
    "font/woff2": "heads:Font",
    "image/avif": "images:Image",
    "image/gif": "images:Image",
    "image/jpeg": "images:Image",
    "image/png": "images:Image",
    "image/svg+xml": "markup:Xml",
    "image/webp": "images:Image",
    "model/gltf+json": "heads:Model",
    "model/gltf-binary": "heads:Model",
    "model/vnd.usdz+zip": "packed:Packed",
    "text/css": "text:Application",
    "text/html": "text:Application",
    "text/javascript": "text:Application",
    "text/markdown": "text:Text",
    "text/plain": "text:Text",
    "text/vtt": "captions:Captions",
    "video/iso.segment": "boxes:Boxes",
    "video/mp2t": "transport:Transport",
    "video/mp4": "boxes:Boxes",
    "video/webm": "webm:WebM",
}


MEDIA = (
    "boxes",
    "flac",
    "ogg",
    "sound",
    "transport",
    "webm",
)  # modules of what most objects of films and channels are; they need no library
EVERY = tuple(sorted({where.partition(":")[0] for where in KINDS.values()}))

_makers: dict[str, Callable[[Told], Kind]] = {}  # of the types whose modules are imported


def load(modules: Iterable[str]) -> None:
    """Import modules of kinds ahead of need."""
    wanted = frozenset(modules)
    for type_, where in KINDS.items():
        if where.partition(":")[0] in wanted:
            _maker(type_, where)


def is_media(type_: str) -> bool:
    """Return whether one of the modules ``MEDIA`` looks at objects of the type."""
    return KINDS.get(type_, "").partition(":")[0] in MEDIA


def kind_of(told: Told) -> Kind:
    """Return what looks at an object of the told type.

    Raises:
        Refused: nothing can (``unknown-type``), or it cannot pass whatever its bytes are.
    """
    where = KINDS.get(told.type)
    if where is None:
        raise refusal.unknown_type(f"nothing here can look into {told.type}")
    make = _makers.get(told.type) or _maker(told.type, where)
    return make(told)


def _maker(type_: str, where: str) -> Callable[[Told], Kind]:
    module, _, name = where.partition(":")
    make: Callable[[Told], Kind] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    _makers[type_] = make
    return make
