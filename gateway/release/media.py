"""Content types by a file's extension: what players and browsers want to be told."""

from __future__ import annotations

TYPES = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "cmfa": "audio/mp4",
    "cmfv": "video/mp4",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "html": "text/html; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",  # RFC 9239
    "json": "application/json",
    "ktx2": "image/ktx2",
    "m3u8": "application/vnd.apple.mpegurl",  # RFC 8216 section 4
    "m4a": "audio/mp4",
    "m4s": "video/iso.segment",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "mtl": "model/mtl",
    "obj": "model/obj",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "srt": "application/x-subrip",
    "stl": "model/stl",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ts": "video/mp2t",  # RFC 8216: a segment, not TypeScript
    "ttml": "application/ttml+xml",
    "txt": "text/plain; charset=utf-8",
    "usdz": "model/vnd.usdz+zip",
    "vtt": "text/vtt; charset=utf-8",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "woff2": "font/woff2",
    "xml": "application/xml",
    "zip": "application/zip",
}
UNKNOWN = "application/octet-stream"


def type_of(path: str) -> str:
    """Return the content type of a file by its extension."""
    return TYPES.get(path.rpartition(".")[2].lower(), UNKNOWN)
