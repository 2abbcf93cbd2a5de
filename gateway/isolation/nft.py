"""libnftables in this process, one context a namespace: rulesets written as JSON, on a socket that may own tables.

nft 1.0 cannot write who owns a table. But the kernel knows an owner by its socket alone: ``Context.link`` is a second descriptor of the
very socket that libnftables uses, so what is taken through it (``nfnl``) belongs to both. Nothing is listed here: libnftables 1.0 uses
freed memory when it lists a table with one flag, which any root process can make.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import socket
import stat
import threading
import weakref
from pathlib import Path
from typing import Any

from gateway.isolation.netns import KernelFailed
from gateway.isolation.nfnl.link import Link
from gateway.isolation.nfnl.messages import NETLINK_NETFILTER
from gateway.isolation.nftjson import Object

LIBRARY = "libnftables.so.1"  # Debian 12 has 1.0.6, Debian 13 has 1.1.3: the same calls
JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
LONGEST_ERROR = 2000  # characters told; libnftables quotes the command, which may be long
TRIES = 10
_lock = threading.Lock()  # libnftables keeps some state for all contexts


class Context:
    """A context in the namespace in which it is made; it keeps the namespace alive until it is closed.

    Raises:
        KernelFailed: there is no libnftables, or it opens no socket.
    """

    def __init__(self) -> None:
        self._library = _load()
        with _lock:
            self._context, descriptor = _open(self._library)
        self._free = weakref.finalize(self, self._library.nft_ctx_free, self._context)
        self.link = Link(descriptor)

    def close(self) -> None:
        """Give context and socket back; what it owned is orphaned."""
        self.link.close()
        self._free()

    def run(self, commands: list[Object]) -> None:
        """Do all ``commands`` in one transaction, or none.

        Raises:
            KernelFailed: the kernel, or libnftables before it, refused.
        """
        text = json.dumps({"nftables": commands}).encode()
        with _lock:
            self._library.nft_ctx_output_set_flags(self._context, JSON)
            failed = self._library.nft_run_cmd_from_buffer(self._context, text)
            error = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            told = error.decode(errors="replace").strip()
            raise KernelFailed(f"nftables: {told[:LONGEST_ERROR] or 'refused without a reason'}")


@functools.cache
def _load() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise KernelFailed(f"{LIBRARY} cannot be loaded; it comes with nftables: {error}") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library


def _open(library: Any) -> tuple[Any, int]:
    """Return a new context and a second descriptor of its socket."""
    for _ in range(TRIES):
        before = _sockets()
        context = library.nft_ctx_new(0)
        if not context:
            raise KernelFailed("libnftables makes no context: is there memory left?")
        found = [descriptor for descriptor, inode in _sockets().items() if before.get(descriptor) != inode]
        if len(found) == 1:  # more than one: another thread opened one at the same time
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            os.set_inheritable(found[0], False)  # or a program that we start would keep what we own
            return context, os.dup(found[0])
        library.nft_ctx_free(context)
    raise KernelFailed("the socket of libnftables cannot be told from others")


def _sockets() -> dict[int, int]:
    """Return descriptor -> inode of this process's netfilter sockets."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        try:
            told = os.fstat(descriptor)
            if stat.S_ISSOCK(told.st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as known:
                    if (known.family, known.proto) == (socket.AF_NETLINK, NETLINK_NETFILTER):
                        found[descriptor] = told.st_ino
        except OSError:
            continue  # closed meanwhile
    return found
