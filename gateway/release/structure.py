"""Is a folder whole? What its playlists, presentations and models name must be there, in the folder, and be what it is called.

Pure but for the two functions that give a file's bytes. Faults keep a release from being made; warnings are told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.runtime.errors import Corrupt, Fault
from gateway.release import marks, media, paths, playlists, presentations
from gateway.release.manifest import APPLICATION
from gateway.release.playlists import Playlist
from gateway.release.presentations import Presentation
from gateway.release.references import MOST, Reference, cycles, resolve

HLS, DASH, GLTF = "application/vnd.apple.mpegurl", "application/dash+xml", "model/gltf+json"
LONGEST = max(playlists.LONGEST, presentations.LONGEST)  # bytes of a file that is read whole
PLAYED = ("video/", "audio/", "text/vtt")  # types that something must name where there are playlists
RUNS = ("text/javascript", "application/wasm")
MOST_TOLD = 20  # of one file, or of one kind of warning

Read = Callable[[str, int], bytes]  # a file's first bytes, at most so many


@dataclass
class Structure:
    """What was found in a folder."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    playlists: dict[str, Playlist] = field(default_factory=dict)
    presentations: dict[str, Presentation] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # file -> the files that it names, both in the folder


def look(sizes: Mapping[str, int], read: Read, labels: tuple[str, ...] = ()) -> Structure:
    """Return what is to be said of the files ``sizes`` (path -> bytes), all of it at once."""
    found = Structure()
    for path in sizes:
        kind = media.type_of(path)
        if fault := marks.fault_in(kind, read(path, marks.HEAD)):
            found.faults.append(_fault(path, fault, "rename it to what it is, or put the right file there"))
        elif kind in (HLS, DASH, GLTF):
            try:
                references = _read(found, kind, path, read(path, LONGEST + 1))
            except Corrupt as error:
                found.faults.append(_fault(path, str(error), "write it anew with the packager"))
            else:
                _follow(found, path, references, sizes)
    _encrypted(found)
    _masters(found)
    _endless(found)
    _loops(found)
    _unnamed(found, sizes)
    running = [path for path in sizes if media.type_of(path).startswith(RUNS)]
    if running and APPLICATION not in labels:
        told = f"runs in the page, and the release has no label '{APPLICATION}': boxes will refuse it"
        _warn(found, running, told, f"--label {APPLICATION}, if it is meant to run")
    return found


def entry_of(sizes: Mapping[str, int]) -> str | list[str]:
    """Return the file that a player opens, where that is obvious; else the files that it could be."""
    if "master.m3u8" in sizes:
        return "master.m3u8"
    presented = [path for path in sizes if path.endswith(".mpd") and "/" not in path]
    if presented:
        return presented[0] if len(presented) == 1 else presented
    if "index.html" in sizes:
        return "index.html"
    top = [path for path in sizes if path.endswith(".m3u8") and "/" not in path]
    candidates = top or [path for path in sizes if "/" not in path] or list(sizes)
    return candidates[0] if len(candidates) == 1 else candidates[:MOST_TOLD]


def _read(found: Structure, kind: str, path: str, data: bytes) -> tuple[Reference, ...]:
    if kind == HLS:
        found.playlists[path] = playlists.parse(data)
        return found.playlists[path].references
    if kind == DASH:
        found.presentations[path] = presentations.parse(data)
        return found.presentations[path].references
    return _model(data)


def _model(data: bytes) -> tuple[Reference, ...]:
    """Return what a glTF 2.0 model names: its buffers and images (section 3.6.1.1)."""
    try:
        told = json.loads(data)
        items = [item for name in ("buffers", "images") for item in told.get(name, [])][: MOST + 1]
        addresses = [str(item["uri"]) for item in items if "uri" in item]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise Corrupt("cannot be read as glTF") from error
    if len(addresses) > MOST:
        raise Corrupt(f"names more than {MOST} files")
    return tuple(Reference(address) for address in addresses if not address.startswith("data:"))


def _follow(found: Structure, path: str, references: tuple[Reference, ...], sizes: Mapping[str, int]) -> None:
    named: dict[str, None] = {}
    faults: list[Fault] = []
    for reference in references:
        shown = paths.shown(reference.text)
        try:
            target = resolve(path, reference.text)
        except ValueError as error:
            faults.append(_fault(path, f"names '{shown}', which {_told(error)}", "", reference.line))
            continue
        if target not in sizes:
            mend = "put it into the folder, or take the line out"
            faults.append(_fault(path, f"names '{shown}', which is not in the folder", mend, reference.line))
        elif reference.end > sizes[target]:
            told = f"asks '{shown}' for bytes up to {reference.end}, and it has {sizes[target]}"
            faults.append(_fault(path, told, "write it anew with the packager", reference.line))
        else:
            named[target] = None
    found.names[path] = list(named)
    each = list({(fault.line, fault.message): fault for fault in faults}.values())
    found.faults += each[:MOST_TOLD]
    if len(each) > MOST_TOLD:
        found.faults.append(
            _fault(path, f"names {len(each) - MOST_TOLD} more files that cannot be", "", each[MOST_TOLD].line)
        )


def _encrypted(found: Structure) -> None:
    """Tell of media that is played with a key: boxes refuse it, since their inspection could not look into it."""
    said = {path: each.encrypted for path, each in found.playlists.items()}
    said |= {path: each.encrypted for path, each in found.presentations.items()}
    for path, encrypted in said.items():
        if encrypted is not None:
            line, how = encrypted
            told = (
                f"is played with a key ({how}): boxes look into all that they show, and refuse it (encrypted-content)"
            )
            mend = "package it without encryption; rights are held by the release"
            found.faults.append(_fault(path, told, mend, line))


def _masters(found: Structure) -> None:
    """Tell of a master playlist that names another one (RFC 8216 section 4.3.4: it names media playlists)."""
    for path, playlist in found.playlists.items():
        for target in found.names[path] if playlist.playlists else ():
            inner = found.playlists.get(target)
            if target != path and inner is not None and inner.playlists:
                told = f"names '{target}', which is a master playlist too"
                found.faults.append(_fault(path, told, "a master playlist names media playlists"))


def _endless(found: Structure) -> None:
    """Tell of what is packaged as live: a player would begin near its end and wait for more (RFC 8216 section 6.3.3, ISO/IEC 23009-1)."""
    for path, playlist in found.playlists.items():
        if not playlist.ended and not playlist.playlists and playlist.seconds:
            mend = (
                "package it as a film (ffmpeg -hls_playlist_type vod), or publish a channel: headgate release channel"
            )
            found.faults.append(_fault(path, "is a live playlist: it has no #EXT-X-ENDLIST", mend))
    for path, presentation in found.presentations.items():
        if not presentation.ended:
            mend = "package it as a film (packager --generate_static_live_mpd), or publish a channel: headgate release channel"
            found.faults.append(_fault(path, "is a live presentation: it is of type 'dynamic'", mend))


def _loops(found: Structure) -> None:
    for way in cycles({path: [t for t in targets if t in found.names] for path, targets in found.names.items()}):
        told = "names itself" if len(way) == 2 else f"comes back to itself: {' -> '.join(way[:10])}"
        found.faults.append(_fault(way[0], told, "a playlist names media playlists, and those name segments"))


def _unnamed(found: Structure, sizes: Mapping[str, int]) -> None:
    if not found.names:
        return
    named = {target for targets in found.names.values() for target in targets}
    left = [path for path in sizes if path not in named and media.type_of(path).startswith(PLAYED)]
    if found.playlists or found.presentations:
        _warn(found, left, "is media that no playlist names", "take it out, if nothing plays it")


def _warn(found: Structure, left: list[str], told: str, mend: str) -> None:
    found.warnings += [_fault(path, told, mend) for path in left[:MOST_TOLD]]
    if len(left) > MOST_TOLD:
        found.warnings.append(_fault(left[MOST_TOLD], f"{told}, with {len(left) - MOST_TOLD - 1} more like it", mend))


def _told(error: ValueError) -> str:
    text = str(error)
    return text if text.startswith(("points", "has ", "leads", "is ")) else f"cannot be: {text}"


def _fault(path: str, message: str, hint: str = "", line: int = 1) -> Fault:
    return Fault(path, line, 1, "", message, hint=hint)
