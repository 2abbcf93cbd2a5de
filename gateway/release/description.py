"""What a body's staff write about a folder: ``release.yaml`` and the command line -> ``Description``, faults with line and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from appliance.runtime import config
from appliance.runtime.config import Problem, Section
from appliance.runtime.errors import ConfigError, Corrupt, Fault
from gateway.release import grants, paths
from gateway.release.manifest import NEWEST, Act, File, Moment, Release, Rights, Screen, Source, Territory, Word
from gateway.resolver import codes

LONGEST = 1 << 20  # bytes of a description


def _code(value: object) -> str:
    """Return the canonical ISLI code that people wrote as ``value``, with or without its scheme."""
    text = str(value)
    try:
        code = codes.parse(text if ":" in text else f"isli:{text}")
    except codes.WrongCode as error:
        raise Problem((), str(error)) from error
    if code.scheme != "isli":
        raise Problem((), f"a release goes by an ISLI code, and this is {code.scheme}")
    return code.canonical


def _digits(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Code = Annotated[str, BeforeValidator(_code)]


class WrittenRights(Section):
    """Where, when and on what it may be shown; what is not written is not limited."""

    zones: Annotated[tuple[Word, ...], Field(max_length=16)] = ()
    screens: Annotated[tuple[Screen, ...], Field(max_length=2)] = ()
    territories: Annotated[tuple[Annotated[Territory, BeforeValidator(_digits)], ...], Field(max_length=100)] = ()
    since: Moment | None = None
    until: Moment | None = None
    bodies: Annotated[tuple[Word, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> WrittenRights:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("'until' is not after 'since'")
        return self


class WrittenSource(Section):
    """Somebody's release that this one makes use of; ``grant`` is the file of its body's grant, beside this one."""

    release: Code
    body: Word
    act: Act
    grant: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class Written(Section):
    """A ``release.yaml``."""

    identifier: Code | None = None
    body: Word | None = None
    version: Annotated[int, Field(ge=1, le=NEWEST)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    description: Annotated[str, Field(max_length=10_000)] = ""
    labels: Annotated[tuple[Word, ...], Field(max_length=32)] = ()
    entry: Annotated[str, Field(max_length=paths.LONGEST)] | None = None
    rights: WrittenRights = WrittenRights()
    sources: Annotated[tuple[WrittenSource, ...], Field(max_length=256)] = ()


@dataclass(frozen=True)
class Description:
    """What is known of a release besides its files; ``file`` is where it was written, for faults."""

    written: Written
    file: str
    sources: tuple[Source, ...] = ()
    grants: tuple[Path, ...] = ()  # the files of their grants


def find(folder: Path) -> Path | None:
    """Return the description in or beside ``folder`` (``film/release.yaml``, ``film.yaml``), or None.

    Raises:
        ConfigError: both are there.
    """
    inside, beside = folder / paths.DESCRIPTION, folder.resolve().with_name(f"{folder.resolve().name}.yaml")
    there = [path for path in (inside, beside) if path.is_file()]
    if len(there) > 1:
        raise ConfigError(
            [Fault(str(beside), 1, 1, "", f"describes the folder, and so does {inside}", hint="keep one")]
        )
    return there[0] if there else None


def read(path: Path) -> Description:
    """Return the description at ``path``, with the grants that it names.

    Raises:
        ConfigError: a file cannot be read or is not what it should be; holds all faults.
    """
    data = config.read(path, LONGEST)
    root = config.compose(data, str(path), LONGEST)
    written = config.validate(root, Written)
    places, sources, faults = config.Places(root), [], []
    for index, source in enumerate(written.sources):
        grant = ""
        if source.grant is not None:
            try:
                grant = grant_in(path.parent / source.grant)
            except ConfigError as error:
                told = error.faults[0]
                faults.append(
                    places.fault(Problem(("sources", index, "grant"), f"{told.file}: {told.message}", told.hint))
                )
        sources.append(Source(release=source.release, body=source.body, act=source.act, grant=grant))
    if faults:
        raise ConfigError(faults)
    granted = tuple(path.parent / source.grant for source in written.sources if source.grant is not None)
    return Description(written, str(path), tuple(sources), granted)


def grant_in(path: Path) -> str:
    """Return the envelope of the grant in the file at ``path``.

    Raises:
        ConfigError: there is none.
    """
    data = config.read(path, grants.LONGEST)
    try:
        grants.claimed(data)
    except Corrupt as error:
        mend = "the file that 'headgate release grant' wrote at the source's body"
        raise ConfigError([Fault(str(path), 1, 1, "", f"holds no grant: {error}", hint=mend)]) from error
    return data.decode()


def overridden(description: Description, told: Mapping[str, Any], sources: tuple[Source, ...]) -> Description:
    """Return ``description`` with what the command line says in the place of what was written.

    Raises:
        ConfigError: what it says is wrong; holds all faults, each with its option.
    """
    before = description.written.model_dump(exclude_unset=True)
    rights = {name: value for name, value in told.items() if name in WrittenRights.model_fields and value}
    others = {
        name: value for name, value in told.items() if name in Written.model_fields and value not in (None, (), "")
    }
    whole = {**before, **others, "rights": {**before.get("rights", {}), **rights}}
    try:
        written = Written.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(
            [
                Fault("command line", 1, 1, _option(fault["loc"]), _message(fault), hint="")
                for fault in error.errors(include_url=False, include_input=False)
            ]
        ) from error
    return replace(description, written=written, sources=sources or description.sources)


def lacking(description: Description, entries: str | list[str], sizes: Mapping[str, int]) -> list[Fault]:
    """Return what is not said yet and must be, and an entry that is not there; ``entries`` as the folder offers them."""
    written, faults = description.written, []

    def fault(path: str, message: str, mend: str) -> None:
        faults.append(Fault(description.file, 1, 1, path, message, hint=mend))

    if written.identifier is None:
        fault("identifier", "is not said", "--id 999999-100000000000001-4, or 'identifier:' in release.yaml")
    if written.body is None:
        fault("body", "is not said", "--body guangxi-library, or 'body:' in release.yaml")
    if written.title is None:
        fault("title", "is not said", "--title 刘三姐, or 'title:' in release.yaml")
    if not written.rights.zones:
        fault(
            "rights.zones", "is not said", "--zones bigscreen,smallscreen, or 'zones:' below 'rights:' in release.yaml"
        )
    if written.entry is None and isinstance(entries, list):
        several = f"one of {', '.join(paths.shown(each) for each in entries[:8])}" if entries else "which there is not"
        fault("entry", "is not obvious: which file does a player open?", f"--entry with {several}")
    elif written.entry is not None and written.entry not in sizes:
        near = config.nearest(written.entry, sizes)
        fault("entry", f"the entry '{paths.shown(written.entry)}' is not in the folder", near)
    for source in description.sources:
        if not source.grant and source.body != written.body:
            mend = f"'{source.body}' makes one: headgate release grant"
            fault("sources", f"{source.release} of '{source.body}' is used without its grant", mend)
    return faults


def outdated(description: Description, now: datetime) -> list[Fault]:
    """Return what can never be shown: rights and grants that are over already by this clock."""
    faults = []
    until = description.written.rights.until
    if until is not None and until <= now:
        told = f"the rights ended {until.isoformat()}, and this clock says {now.isoformat(timespec='seconds')}"
        faults.append(Fault(description.file, 1, 1, "rights.until", told, hint="a later time, or set this clock"))
    return faults


def released(description: Description, version: int, entry: str, files: dict[str, File]) -> Release:
    """Return the release that ``description`` (nothing lacking) and ``files`` make.

    Raises:
        ConfigError: it cannot be; holds all faults.
    """
    written = description.written
    rights = written.rights.model_dump()
    try:
        return Release(
            identifier=written.identifier or "",
            version=version,
            body=written.body or "",
            title=written.title or "",
            description=written.description,
            labels=written.labels,
            rights=Rights(**rights),
            entry=entry,
            files=files,
            sources=description.sources,
        )
    except ValidationError as error:
        raise ConfigError(
            [
                Fault(description.file, 1, 1, _option(fault["loc"]), _message(fault))
                for fault in error.errors(include_url=False, include_input=False)
            ]
        ) from error


def _option(place: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:80] for part in place)


def _message(fault: Any) -> str:
    found = fault.get("ctx", {}).get("error")
    return str(found) if found is not None else str(fault["msg"])
