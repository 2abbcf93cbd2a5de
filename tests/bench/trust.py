"""Trust: verifying a catalogue of 100 000 releases in hashed bins, cold and after one new release, beside one flat targets.json."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from appliance.identity.keys import PrivateKey
from gateway.release.trust import drafts, kept, layout, listing, metadata, repository, summary, verifying
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Name, Needed
from gateway.release.trust.listing import Entry
from gateway.release.trust.verifying import Chain
from gateway.resolver.codes import check_digit

RELEASES = 100_000
BITS = 8  # 256 bins of some 390 releases


def main() -> None:
    """Run the benchmark and print what was measured."""
    print(
        f"trust: {RELEASES} releases of one body; {1 << BITS} hashed bins, and one flat targets.json (python-tuf's own client)"
    )
    print(f"{'':34} {'bins':>12} {'flat':>12}")
    measured = []
    for work in (binned, flat):
        with tempfile.TemporaryDirectory(prefix="hgb-") as folder:
            context = multiprocessing.get_context("spawn")
            here, there = context.Pipe()
            process = context.Process(target=_run, args=(work, Path(folder), there))
            process.start()
            there.close()  # so that a process that fails is seen as the end
            measured.append(here.recv())
            process.join()
    for name in measured[0]:
        print(f"{name:34} {measured[0][name]:>12} {measured[1][name]:>12}")


def _run(work: Callable[[Path], dict[str, str]], folder: Path, out: Any) -> None:
    out.send(work(folder))


class Holders:
    """Everybody's keys, and what they write."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, datetime.now(UTC)
        self.root, self.operator, self.online, self.body = (PrivateKey.generate() for _ in range(4))
        folder.mkdir()
        holders = drafts.Holders((self.root.public,), 1, (self.operator.public,), 1, (self.online.public,))
        self.write(drafts.root(holders, 1, self.now), self.root, "root")

    def write(self, made: Metadata[Any], key: PrivateKey, role: str) -> None:
        data = metadata.written(metadata.sign(made, key))
        (self.folder / Name(role, made.signed.version).file).write_bytes(data)

    def entries(self, count: int) -> list[Entry]:
        codes = (f"999999{number:015}" for number in range(count))
        return [
            Entry(f"{c[:6]}-{c[6:]}-{check_digit(c)}", f"{n:064x}", 5000, 1, self.body.public)
            for n, c in enumerate(codes)
        ]


def binned(folder: Path) -> dict[str, str]:
    """Measure the chain of a box over hashed bins."""
    made = Holders(folder / "trust")
    delegate = Delegate("library", (made.body.public,), ("isli:999999-",), ("share",), BITS)
    made.write(drafts.targets(None, [delegate], made.now), made.operator, "targets")
    made.write(listing.role_of(delegate, made.body.public, 1, made.now), made.body, "library")
    entries = made.entries(RELEASES + 1)
    new = entries.pop()
    for name, some in listing.by_bin(delegate, entries).items():
        made.write(listing.bin_with(None, some, [], 1, made.now), made.body, name)
    repository.refresh(made.folder, made.online)
    files, asked = Files(made.folder), [0, 0]

    def read(needed: Needed) -> bytes | None:
        data = files.read(layout.parse(needed.file))
        asked[0] += 1
        asked[1] += len(data or b"")
        return data

    pin = summary.pin(files)
    began = time.perf_counter()
    verifying.ask(Chain(kept.Memory(), pin), "library", entries[0].code, datetime.now(UTC), read)
    first, first_bytes = time.perf_counter() - began, asked[1]
    chain = Chain(kept.Folder(folder / "kept", pin), pin)
    asked[:] = [0, 0]
    before, began, now = _memory(), time.perf_counter(), datetime.now(UTC)
    for entry in entries:
        assert verifying.ask(chain, "library", entry.code, now, read).entry.sha256 == entry.sha256
    cold, all_bytes, memory = time.perf_counter() - began, asked[1], _memory() - before
    again = time.perf_counter()
    for entry in entries[:10_000]:
        verifying.ask(chain, "library", entry.code, now, read)
    known = (time.perf_counter() - again) / 10_000
    name = layout.bin_of("library", BITS, new.code)
    began = time.perf_counter()
    bin_now = repository.bin_content(files, name)
    made.write(listing.bin_with(bin_now, [new], [], 2, made.now), made.body, name)
    repository.refresh(made.folder, made.online)
    publish = time.perf_counter() - began
    asked[:] = [0, 0]
    began = time.perf_counter()
    assert verifying.ask(chain, "library", new.code, now + timedelta(minutes=1), read).entry == new
    one = time.perf_counter() - began
    return _rows(first, first_bytes, cold, all_bytes, memory, known, publish, one, asked[1])


class Reader(FetcherInterface):  # type: ignore[misc]
    """python-tuf's client over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bytes = folder, 0

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self.folder / url.rpartition("/")[2]
        if not path.exists():
            raise DownloadHTTPError(f"no {path.name}", 404)
        self.bytes += path.stat().st_size
        yield path.read_bytes()


def flat(folder: Path) -> dict[str, str]:
    """Measure python-tuf's own client over one targets.json that lists everything."""
    made = Holders(folder / "trust")
    entries = made.entries(RELEASES + 1)
    new = entries.pop()
    listed = {layout.path_of(e.code): _target(e) for e in entries}

    def publish(version: int) -> None:
        targets = Targets(version=version, expires=made.now + timedelta(days=365), targets=listed)
        made.write(Metadata(targets), made.operator, "targets")
        data = (made.folder / f"{version}.targets.json").read_bytes()
        meta = {"targets.json": MetaFile.from_data(version, data, ["sha256"])}
        snapshot = Snapshot(version=version, expires=made.now + timedelta(days=7), meta=meta)
        made.write(Metadata(snapshot), made.online, "snapshot")
        data = (made.folder / f"{version}.snapshot.json").read_bytes()
        stamp = Timestamp(
            version=version,
            expires=made.now + timedelta(days=1),
            snapshot_meta=MetaFile.from_data(version, data, ["sha256"]),
        )
        (made.folder / "timestamp.json").write_bytes(metadata.written(metadata.sign(Metadata(stamp), made.online)))

    def client(kept_in: str) -> tuple[Updater, Reader]:
        (folder / kept_in).mkdir(exist_ok=True)
        reader = Reader(made.folder)
        root = (made.folder / "1.root.json").read_bytes()
        limits = UpdaterConfig(targets_max_length=100 << 20)
        return Updater(str(folder / kept_in), "http://origin/", fetcher=reader, config=limits, bootstrap=root), reader

    publish(1)
    began = time.perf_counter()
    updater, reader = client("one")
    updater.get_targetinfo(layout.path_of(entries[0].code))
    first, first_bytes = time.perf_counter() - began, reader.bytes
    del updater
    before, began = _memory(), time.perf_counter()
    updater, reader = client("all")
    for entry in entries:
        found = updater.get_targetinfo(layout.path_of(entry.code))
        assert found is not None
        assert found.hashes["sha256"] == entry.sha256
    cold, all_bytes, memory = time.perf_counter() - began, reader.bytes, max(_memory() - before, 0)
    again = time.perf_counter()
    for entry in entries[:10_000]:
        updater.get_targetinfo(layout.path_of(entry.code))
    known = (time.perf_counter() - again) / 10_000
    began = time.perf_counter()
    listed[layout.path_of(new.code)] = _target(new)
    publish(2)
    published = time.perf_counter() - began
    began = time.perf_counter()
    updater, reader = client("all")
    assert updater.get_targetinfo(layout.path_of(new.code)) is not None
    return _rows(
        first, first_bytes, cold, all_bytes, memory, known, published, time.perf_counter() - began, reader.bytes
    )


def _target(entry: Entry) -> TargetFile:
    told = {"custom": {"version": entry.version, "signer": str(entry.signer)}}
    path = layout.path_of(entry.code)
    return TargetFile(entry.length, {"sha256": entry.sha256}, path, told)


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def _rows(
    first: float,
    first_bytes: int,
    cold: float,
    all_bytes: int,
    memory: int,
    known: float,
    publish: float,
    one: float,
    new: int,
) -> dict[str, str]:
    return {
        "one release, cold": f"{first * 1000:.1f} ms",
        "  fetched": f"{first_bytes / 1e6:.2f} MB",
        "all releases, cold": f"{cold:.2f} s",
        "  fetched ": f"{all_bytes / 1e6:.1f} MB",
        "  memory held": f"{memory} MiB",
        "a known release, looked up": f"{known * 1e6:.0f} us",
        "publishing one more": f"{publish * 1000:.0f} ms",
        "one new release, warm": f"{one * 1000:.1f} ms",
        "  fetched  ": f"{new / 1e6:.3f} MB",
    }
