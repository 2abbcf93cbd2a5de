"""The accounts in which nginx's workers write answers down, each in memory of its own that outlives it (``templates/account.lua``).

A file there is two rings behind two pairs of counts: of answers, 32 bytes each, and of texts, which say of what and whose an answer is;
and behind them what large answers are under way. The worker writes at the head. Delivery notes in nginx's log how far it will read,
counts that with the lines around it, and moves the tail then: so the mark of the log says also what of this was counted, whoever is
killed meanwhile.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path

from gateway.delivery import metrics
from gateway.delivery.front import opaque
from gateway.delivery.front.cutting import Screen
from gateway.delivery.front.lines import MOST_SECONDS, REMEMBERED, WORD, Account, Ended
from gateway.delivery.front.opaque import Carried

ANSWERS, TEXTS = 1 << 19, 1 << 22  # how many, and how many bytes, before it begins again where it began
BEHIND = 4096  # bytes of the counts before them
DONE, CLOSED = 1, 2  # of ``how``
ANSWER = struct.Struct(
    "=IIIIIHBxd"
)  # where its texts are: what and whose; bytes sent, of content; ms; port; how; when it was over
_ALIKE, _COMMON = (
    struct.Struct("=24sd"),
    struct.Struct("=IIIIIHBx"),
)  # the same: what alike ones have in common, and when
RUNNING = 4096  # large answers under way
UNDER_WAY = struct.Struct("=?xHHH504s")  # whether it runs; port; bytes of what and whose; both
TEXTS_AT = BEHIND + ANSWERS * ANSWER.size
RUNNING_AT = TEXTS_AT + TEXTS
SIZE = RUNNING_AT + RUNNING * UNDER_WAY.size
AT_ONCE = 1 << 16  # answers read at a time: others run in between
LONGEST = 1 << 14  # bytes of a text
MOST_TEXTS = 1 << 52  # bytes: more is no count
_WHAT, _WHOSE = re.compile(rf"({WORD}+) (\d{{1,18}})"), re.compile(rf"([0-9a-f.:]+) ({WORD}*) ({WORD}*)")


class Counts(ctypes.Structure):
    """How many answers, and bytes of texts, were written ever; and of how many nothing is needed any more.

    ``lost``: how many large ones ran in workers that ended without a word.
    """

    _fields_ = (
        ("head", ctypes.c_double),
        ("texts_head", ctypes.c_double),
        ("lost", ctypes.c_double),
        ("spare", ctypes.c_double * 5),  # a line of the processor's cache
        ("tail", ctypes.c_double),
        ("texts_tail", ctypes.c_double),
    )


class Accounts:
    """The files in ``folder``, so many: more than nginx can have workers while it takes another configuration.

    Raises:
        OSError: they cannot be made.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._memories = [_memory(folder / f"answers.{number}") for number in range(count)]
        self._counts = [Counts.from_buffer(memory) for memory in self._memories]
        self._upto = [int(counts.tail) for counts in self._counts]  # how far each was told of
        self._lost = self._all_lost()

    def fresh(self) -> list[Account]:
        """Return the answers that were written until now and are not ``noted``, in pieces of ``AT_ONCE``, of every worker."""
        return [piece for number in range(len(self._counts)) for piece in self._fresh(number)]

    def _fresh(self, number: int) -> Iterator[Account]:
        counts, upto = self._counts[number], self._upto[number]
        texts = counts.texts_head  # before the other head: what is told of has its texts
        head = counts.head
        if head == upto:
            return
        if not counts.tail <= upto < head <= counts.tail + ANSWERS or not counts.texts_tail <= texts <= MOST_TEXTS:
            metrics.FRONT_UNREAD.inc()
            counts.head, counts.tail, counts.texts_head = upto, upto, counts.texts_tail
            return
        while head > upto + AT_ONCE:  # the next ones may need texts that were written before
            yield Account(number, upto, upto + AT_ONCE, int(counts.texts_tail))
            upto += AT_ONCE
        yield Account(number, upto, int(head), int(texts))

    def noted(self, account: Account) -> None:
        """Go on behind these answers with ``fresh``."""
        self._upto[account.number] = account.upto

    def read(self, account: Account) -> list[Ended | None]:
        """Return the answers that ``fresh`` told of, those that are alike as one, at the place of the first; None for what is none.

        Raises:
            ValueError: they are not there.
        """
        number, begins, upto, _ = account
        there = number < len(self._counts) and self._counts[number].tail <= begins < upto <= self._counts[number].head
        if not there or upto > begins + AT_ONCE:
            raise ValueError(f"not there: {account}")
        self._upto[number] = max(self._upto[number], upto)
        memory, first, last = self._memories[number], begins % ANSWERS, (upto - 1) % ANSWERS + 1
        pieces = [(first, last)] if first < last else [(first, ANSWERS), (0, last)]
        data = b"".join(memory[BEHIND + a * ANSWER.size : BEHIND + b * ANSWER.size] for a, b in pieces)
        rows = list(_ALIKE.iter_unpack(data))
        since, at = dict(reversed(rows)), dict(rows)
        counts = Counter(map(itemgetter(0), rows))
        texts = partial(_text, memory)
        return [_ended(common, since[common], at[common], count, texts) for common, count in counts.items()]

    def free(self, account: Account) -> None:
        """Let the worker write over these answers, which were counted."""
        number, _, upto, texts = account
        if number < len(self._counts) and upto <= (counts := self._counts[number]).head:
            self._upto[number] = max(self._upto[number], upto)
            counts.texts_tail, counts.tail = max(counts.texts_tail, texts), max(counts.tail, upto)

    def running(self) -> Iterator[tuple[Screen, Carried]]:
        """Yield each large answer that is under way: its connection, and what it carries.

        Of one that ends meanwhile ``fresh`` tells afterwards.
        """
        for memory in self._memories:
            states = memory[RUNNING_AT :: UNDER_WAY.size]
            place = states.find(1)
            while place >= 0:
                try:
                    yield _under_way(UNDER_WAY.unpack_from(memory, RUNNING_AT + place * UNDER_WAY.size))
                except ValueError:
                    metrics.FRONT_UNREAD.inc()
                place = states.find(1, place + 1)

    def lost(self) -> int:
        """Return how many large answers were lost since one asked last, with a worker that ended without a word."""
        before, self._lost = self._lost, self._all_lost()
        return max(0, int(self._lost - before))

    def _all_lost(self) -> float:
        return math.fsum(counts.lost for counts in self._counts if 0 <= counts.lost <= MOST_TEXTS)  # more is no count


def _memory(path: Path) -> mmap.mmap:
    """Return the file at ``path`` as memory; it takes no room before a worker has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        os.fchmod(descriptor, 0o660)  # nginx, whose group the folder has, writes it
        os.posix_fallocate(descriptor, 0, BEHIND)  # of this no signal may tell that the file system is full
        os.truncate(descriptor, SIZE)
        return mmap.mmap(descriptor, SIZE)
    finally:
        os.close(descriptor)


def _text(memory: mmap.mmap, place: int) -> bytes:
    begins = TEXTS_AT + place
    return memory[begins : max(begins, memory.find(b"\n", begins, begins + LONGEST))]


def _ended(common: bytes, since: float, at: float, count: int, texts: Callable[[int], bytes]) -> Ended | None:
    what, whose, sent, body, milliseconds, port, how = _COMMON.unpack(common)
    try:
        meter, length = _what(texts(what))
        screen, subject, marks = _whose(texts(whose))
    except ValueError:
        return None
    if not port or not 0 <= at <= MOST_SECONDS or not 0 <= since <= MOST_SECONDS:
        return None
    return Ended(
        "",
        screen,
        port,
        200,
        max(sent, body),
        body,
        milliseconds / 1000,
        at,
        bool(how & DONE),
        meter,
        subject,
        marks,
        length=length,
        closed=bool(how & CLOSED),
        requests=count,
        since=min(since, at) if count > 1 else 0.0,
    )


def _under_way(told: tuple[bool, int, int, int, bytes]) -> tuple[Screen, Carried]:
    """Return a large answer's connection, and what it carries.

    Raises:
        ValueError: it says no such thing.
    """
    _, port, what, whose, text = told
    meter, _ = _what(text[:what])
    screen, subject, marks = _whose(text[what : what + whose])
    return (screen, port), opaque.of(meter, subject, marks)


@lru_cache(maxsize=REMEMBERED)
def _what(text: bytes) -> tuple[str, int]:
    """Return what is counted, and the bytes of content that were to come.

    Raises:
        ValueError: it says no such thing.
    """
    if (found := _WHAT.fullmatch(text.decode("ascii"))) is None:
        raise ValueError("says nothing")
    return found[1], int(found[2])


@lru_cache(maxsize=REMEMBERED)
def _whose(text: bytes) -> tuple[str, str, str]:
    """Return the screen's address, the subject and the marks.

    Raises:
        ValueError: it says no such thing.
    """
    if (found := _WHOSE.fullmatch(text.decode("ascii"))) is None:
        raise ValueError("says nothing")
    return found[1], found[2], found[3]
