"""Verify a Headgate journal offline; this one file, Python 3.11 and the package ``cryptography`` are all that is needed.

    python3 verify.py DIR [--key KEY] [--witness KEY].. [--since CHECKPOINT]..
    python3 verify.py RECORD.tlog-proof --key KEY

A journal is a Merkle tree (RFC 6962 section 2.1) over its records, in the files of c2sp.org/tlog-tiles:

    tile/entries/000     256 records a file, each after its length in two bytes (x001/234 is number 1234; .p/W holds the first W)
    tile/L/000           the tree's hashes at height 8 L, 256 a file
    checkpoint           how many records there are and their root, signed (c2sp.org/tlog-checkpoint, c2sp.org/signed-note)
    witnessed            the newest checkpoint that witnesses countersigned (c2sp.org/tlog-cosignature)
    tail.jsonl           'after N', then the records behind the first N, a line each; a line that begins with a dash is the signature
                         of the checkpoint of all records above it. Here a record is durable first.

Every hash is made anew from the records. KEY is 'ed25519:..' or 'name+hash+base64' (a verifier key), of a witness 'name=ed25519:..' too;
without --key the one in key.pub is taken, which shows only that things belong together. CHECKPOINT is one that you kept from earlier.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHECKPOINT, WITNESSED, TAIL, KEY, ENTRIES = "checkpoint", "witnessed", "tail.jsonl", "key.pub", "entries"
LOG, WITNESS = b"\x01", b"\x04"  # kinds of keys: one signs notes; one countersigns checkpoints, with the time
HASH, WIDTH = 32, 256  # bytes of a hash; hashes or records of a whole tile
DASH = "\N{EM DASH} "
LONGEST_NOTE = 16 << 10  # bytes
MOST_NAMED = 20  # faults told one by one
MOST_MISSING = 10_000  # tiles looked for that are not there: nobody's signature makes the verifier work without end
PROOF = "c2sp.org/tlog-proof@v1"


class Damaged(ValueError):
    """This is not what it should be."""


@dataclass(frozen=True)
class Key:
    """A public Ed25519 key, the name that it signs under, and its kind: ``LOG`` or ``WITNESS``."""

    name: str
    raw: bytes
    kind: bytes = LOG

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names this key."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:4]

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature`` over ``data`` is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True


def parse_key(text: str, name: str = "", kind: bytes = LOG) -> Key:
    """Return the key written as ``name+hash+base64``, ``name=ed25519:base64`` or ``ed25519:base64`` (then of ``name``)."""
    try:
        named, mark, encoded = text.strip().partition("ed25519:")
        if mark:
            key = Key(named.removesuffix("=") or name, base64.b64decode(encoded, validate=True), kind)
        else:
            named, hashed, encoded = text.strip().split("+", 2)
            data = base64.b64decode(encoded, validate=True)
            key = Key(named, data[1:], data[:1])
            if key.id.hex() != hashed or key.kind != kind:
                raise Damaged("a verifier key that is damaged or for another use")
    except ValueError as error:
        raise Damaged("a key is 'ed25519:..' or 'name+hash+base64'") from error
    if len(key.raw) != HASH or not key.name or set(key.name) & set(" +\n"):
        raise Damaged("a key is 'ed25519:..' (32 bytes) or 'name+hash+base64'")
    return key


@dataclass(frozen=True)
class Checkpoint:
    """Whose journal it is, how many records, their root; and the signatures: (name, the key's id and the signature)."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes], ...] = field(default=(), compare=False)

    @property
    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed_by(self, key: Key) -> bool:
        """Return whether the journal's ``key`` signed it."""
        found = [data[4:] for name, data in self.signatures if (name, data[:4], len(data)) == (key.name, key.id, 68)]
        return any(key.signed(signature, self.body.encode()) for signature in found)

    def cosigned_by(self, key: Key) -> int | None:
        """Return when (seconds since 1970) the witness ``key`` countersigned it, or None."""
        for name, data in self.signatures:
            time = int.from_bytes(data[4:12], "big")
            told = f"cosignature/v1\ntime {time}\n{self.body}".encode()
            if (name, data[:4], len(data)) == (key.name, key.id, 76) and key.signed(data[12:], told):
                return time
        return None


def parse_signature(line: str) -> tuple[str, bytes]:
    """Return name and data of a signature line."""
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    data = base64.b64decode(encoded, validate=True)  # its failure is a ValueError
    if not line.startswith(DASH) or not name or base64.b64encode(data).decode() != encoded:
        raise Damaged("this is no signature line")
    return name, data


def parse_note(data: bytes) -> Checkpoint:
    """Return the checkpoint in ``data``, whose signatures are still to be checked."""
    try:
        text, _, signatures = data[: LONGEST_NOTE + 1].decode().partition("\n\n")
        origin, size, root = text.split("\n")
        lines = tuple(parse_signature(line) for line in signatures.removesuffix("\n").split("\n"))
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True), lines)
    except ValueError as error:
        raise Damaged("this is no checkpoint") from error
    if found.body != text + "\n" or found.size < 0 or len(found.root) != HASH or signatures[-1:] != "\n" or not origin:
        raise Damaged("this is no checkpoint")
    return found


def open_note(data: bytes, key: Key) -> Checkpoint:
    """Return the checkpoint in ``data``, which the journal's ``key`` signed."""
    note = parse_note(data)
    if note.origin != key.name or not note.signed_by(key):
        raise Damaged(f"not signed by the key of '{key.name}'")
    return note


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a record."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """All hashes of a growing tree: ``levels[k]`` holds those of the complete subtrees of 2**k records, side by side."""

    def __init__(self) -> None:
        self.levels = [bytearray()]

    def add(self, leaves: bytes) -> None:
        """Add records by their hashes, side by side."""
        self.levels[0] += leaves
        for level in count():
            if level + 1 == len(self.levels):
                self.levels.append(bytearray())
            low, high = self.levels[level : level + 2]
            pairs = range(2 * len(high), len(low) // 64 * 64, 64)
            if not pairs:
                return
            high += b"".join([sha256(b"\x01" + low[at : at + 64]).digest() for at in pairs])

    def root(self, size: int) -> bytes:
        """Return the root of the first ``size`` records; empty where there are fewer."""
        root = b""
        if size * HASH > len(self.levels[0]):
            return root
        for level in range(size.bit_length()):
            if size >> level & 1:
                end = (size >> level) * HASH
                node = bytes(self.levels[level][end - HASH : end])
                root = node_hash(node, root) if root else node
        return root or sha256().digest()


def root_from(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes:
    """Return the root to which the proof ``path`` leads that ``leaf`` is record ``index`` of ``size`` (RFC 9162 section 2.1.3.2)."""
    here, last, root = index, size - 1, leaf
    for other in path:
        if last <= 0:
            raise Damaged("the proof has another length")
        if here & 1 or here == last:
            root = node_hash(other, root)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            root = node_hash(root, other)
        here, last = here >> 1, last >> 1
    if last or not 0 <= index < size:
        raise Damaged("the proof has another length")
    return root


def number_path(number: int, width: int = WIDTH) -> str:
    """Return where a tile lies: ``x001/234``, with ``.p/W`` where it is partial."""
    path = f"{number % 1000:03}" + (f".p/{width}" if width < WIDTH else "")
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return path


def unpack(data: bytes) -> list[bytes]:
    """Return the records of an entry bundle."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise Damaged("the last record is cut off")
    return entries


def parse_tail(data: bytes, most: int | None = None) -> tuple[int, list[tuple[list[bytes], bytes]], list[bytes]]:
    """Return a tail's N, its signed batches (records, signature line), and the lines behind the last signature; the last may be torn."""
    head, *lines = data.split(b"\n")
    if not lines or not re.fullmatch(rb"after (0|[1-9]\d{0,17})", head) or int(head[6:]) % WIDTH:
        raise Damaged("does not begin with 'after N'")
    if most is not None and int(head[6:]) > most:
        raise Damaged("begins behind the checkpoint")
    batches: list[tuple[list[bytes], bytes]] = []
    entries: list[bytes] = []
    for line in lines[:-1]:
        if line.startswith(DASH.encode()):
            batches.append((entries, line))
            entries = []
        else:
            entries.append(line)
    return int(head[6:]), batches, [*entries, lines[-1]]


@dataclass
class Report:
    """What a journal shows: ``signed`` records and their root, the witnesses' (size, time), what is wrong, and what else to know."""

    origin: str
    signed: int = 0
    root: str = ""
    witnesses: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every signed record is as it was written."""
        return not self.faults


def verify_folder(folder: Path, key: str = "", witnesses: Sequence[str] = (), since: Sequence[Path] = ()) -> Report:
    """Return what the journal in ``folder`` shows; Damaged is raised where there is none, or a key is none."""
    named = "+" in key.partition("ed25519:")[0]  # a verifier key says whose it is
    beside = "" if named else parse_key(_read(folder / KEY).decode(errors="replace")).name
    log = parse_key(key or _read(folder / KEY).decode(), beside)
    report, known = Report(log.name), [parse_key(text, kind=WITNESS) for text in witnesses]
    notes: dict[str, Checkpoint] = {}
    for path in (folder / CHECKPOINT, *[folder / WITNESSED] * (folder / WITNESSED).exists(), *since):
        name = path.name if path.parent == folder else str(path)
        try:
            notes[name] = open_note(_read(path), log)
        except Damaged as error:
            report.faults.append(f"{name}: {error}")
    _records(folder, log, notes, report)
    for witness in known:
        seen = [(note.size, time) for note in notes.values() if (time := note.cosigned_by(witness)) is not None]
        if seen:
            report.witnesses[witness.name] = max(seen)
        else:
            report.faults.append(f"no checkpoint here is countersigned by the witness '{witness.name}'")
    return report


def _records(folder: Path, log: Key, notes: dict[str, Checkpoint], report: Report) -> None:
    """Hash all records anew, and compare with every signature and every tile."""
    faults, tree = report.faults, Tree()
    most = (sum(1 for _ in (folder / "tile").rglob("*")) + MOST_MISSING) * WIDTH
    for name in [name for name, note in notes.items() if note.size > most]:
        faults.append(f"{name}: {notes.pop(name).size} records were signed, far fewer are here")
    published = notes.get(CHECKPOINT, Checkpoint("", 0, b""))
    try:
        first, batches, rest = parse_tail(_read(folder / TAIL), published.size if CHECKPOINT in notes else None)
    except Damaged as error:
        faults.append(f"{TAIL}: {error}")
        first, batches, rest = published.size - published.size % WIDTH, [], [b""]
    for number in range(first // WIDTH):
        path = folder / "tile" / ENTRIES / number_path(number)
        if CHECKPOINT not in notes and not path.exists():
            break  # nothing signed says how many there should be
        tree.add(_leaves(path, faults).ljust(WIDTH * HASH, b"\0")[: WIDTH * HASH])
    tree.add(b"".join([leaf_hash(entry) for entries, _ in batches for entry in entries]))
    if CHECKPOINT in notes and tree.root(published.size) != published.root:
        tree = _as_signed(folder, tree, published, faults)
    size, good, failed = first, first, []
    for entries, line in batches:
        size += len(entries)
        try:
            signature = parse_signature(line.decode())
        except ValueError:
            signature = ("", b"")
        if Checkpoint(log.name, size, tree.root(size), (signature,)).signed_by(log):
            good = size
        else:
            failed.append(size)
    faults += [f"{TAIL}: the signature behind record {at} was altered" for at in failed if at <= good]
    if failed and failed[-1] > good:
        faults.append(f"{TAIL}: records {good + 1} to {size} are not as they were signed")
    report.signed, report.root = good, tree.root(good).hex()
    for name, note in notes.items():
        if note.size > size:
            faults.append(f"{name}: {note.size} records were signed, {size} are here: the last were removed")
        elif tree.root(note.size) != note.root:
            faults.append(f"{name}: another history: its {note.size} records are not the first {note.size} here")
    if rest != [b""]:
        report.notes.append(
            f"{TAIL}: {sum(map(len, rest))} bytes of a write that was interrupted, behind the last signature"
        )
    _tiles(folder, tree, first, published.size, report)


def _as_signed(folder: Path, tree: Tree, head: Checkpoint, faults: list[str]) -> Tree:
    """Name the records that are not those of ``head``, by the hash tiles, and return the tree of what was signed."""
    found, stored, signed = bytes(tree.levels[0]), bytearray(), Tree()
    for number in range(-(-head.size // WIDTH)):
        width = min(WIDTH, head.size - number * WIDTH)
        path = folder / "tile" / "0" / number_path(number, width)
        stored += (path.read_bytes() if path.exists() else b"")[: width * HASH].ljust(width * HASH, b"\0")
    signed.add(bytes(stored))
    if signed.root(head.size) != head.root:
        faults.append("neither the records nor the hash tiles have the signed root; they disagree here:")
    places = range(0, min(len(found), len(stored)), HASH)
    altered = [at // HASH + 1 for at in places if found[at : at + HASH] != stored[at : at + HASH]]
    faults += [f"record {number}: was altered, moved or put in after it was signed" for number in altered[:MOST_NAMED]]
    if len(altered) > MOST_NAMED:
        faults.append(f"and {len(altered) - MOST_NAMED} more records, up to {altered[-1]}")
    signed.add(found[len(stored) :])
    return signed


def _tiles(folder: Path, tree: Tree, first: int, published: int, report: Report) -> None:
    """Compare every file of the tree with the records."""
    wanted = {f"{level}/{number_path(number, width)}" for level, number, width in _tiles_of(published)}
    wanted |= {ENTRIES + name[1:] for name in wanted if name.startswith("0/")}
    here = {path.relative_to(folder / "tile").as_posix() for path in (folder / "tile").rglob("*") if path.is_file()}
    for name in sorted(here | wanted):
        kind, _, place = name.partition("/")
        place, _, width = place.partition(".p/")
        number = int("".join(filter(str.isdigit, place)) or 0)
        if kind == ENTRIES and number < first // WIDTH and not width:
            continue  # read already
        level = 8 * int(kind) if kind.isdigit() and int(kind) < 8 else 0
        hashes = tree.levels[level] if level < len(tree.levels) else b""
        right = bytes(hashes[number * WIDTH * HASH :][: int(width or WIDTH) * HASH])
        if name not in here:
            report.faults.append(f"tile/{name}: is missing")
        elif f"{kind}/{number_path(number, int(width or WIDTH))}" != name or len(right) != int(width or WIDTH) * HASH:
            report.faults.append(f"tile/{name}: belongs to no signed record")
        elif (_leaves(folder / "tile" / name, []) if kind == ENTRIES else _read(folder / "tile" / name)) != right:
            report.faults.append(f"tile/{name}: was altered")


def _tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield level, number and width of the hash tiles of a tree."""
    for level in range(8):
        total = size >> 8 * level
        yield from ((level, number, min(WIDTH, total - number * WIDTH)) for number in range(-(-total // WIDTH)))


def _leaves(path: Path, faults: list[str]) -> bytes:
    """Return the hashes of the records in a bundle, side by side."""
    try:
        return b"".join([sha256(b"\0" + entry).digest() for entry in unpack(_read(path))])
    except Damaged as error:
        faults.append(f"{'/'.join(path.parts[path.parts.index('tile') :])}: {error}")
        return b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"cannot be read: {error.strerror}") from error


def verify_proof(data: bytes, key: str) -> tuple[bytes, int, Checkpoint]:
    """Return the record that a proof (c2sp.org/tlog-proof) holds, its number, and the checkpoint that it is in."""
    text, _, note = data.partition(b"\n\n")
    try:
        mark, extra, index, *path = text.decode().split("\n")
        entry, place = (base64.b64decode(extra.removeprefix("extra ")), int(index.removeprefix("index ")))
        hashes = [base64.b64decode(line, validate=True) for line in path]
    except ValueError as error:
        raise Damaged("this is no proof of a record") from error
    head = open_note(note, parse_key(key, parse_note(note).origin))
    if mark != PROOF or root_from(leaf_hash(entry), place, head.size, hashes) != head.root:
        raise Damaged("this record is not in that journal")
    return entry, place + 1, head


def main() -> int:
    """Verify what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", metavar="DIR|PROOF", type=Path)
    parser.add_argument("--key", default="")
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--since", action="append", default=[], type=Path)
    asked = parser.parse_args()
    try:
        if asked.place.is_file():
            entry, number, head = verify_proof(_read(asked.place), asked.key)
            print(f"record {number} of the {head.size} of '{head.origin}':\n{entry.decode(errors='backslashreplace')}")  # noqa: T201
            return 0
        report = verify_folder(asked.place, asked.key, asked.witness, asked.since)
    except Damaged as error:
        sys.exit(str(error))
    print(told(report))  # noqa: T201
    return 0 if report.ok else 1


def told(report: Report) -> str:
    """Return the report for people."""
    lines = [*report.faults, *report.notes]
    for name, (size, time) in report.witnesses.items():
        lines.append(
            f"the first {size} records were seen by the witness '{name}' at {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
    good = f"{report.signed} records of '{report.origin}' are as they were signed (root {report.root})"
    return "\n".join(
        [*lines, good if report.ok else f"ALTERED: {len(report.faults)} faults in the journal '{report.origin}'"]
    )


if __name__ == "__main__":
    sys.exit(main())
