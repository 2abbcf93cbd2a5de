"""Sets a foreign link up again and again and measures how long it stays so: ``flapping.py NAMESPACE TIMES`` prints seconds as JSON.

It runs beside the trip-wire as a process of its own, so that neither waits for the other's interpreter.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import time

from cheats import LINK, enter

GET_FLAGS, SET_FLAGS = 0x8913, 0x8914
UP = 1
LONGEST = 5.0  # seconds after which a link that stays up is given up


def main(namespace: str, times: int) -> None:
    enter(namespace)
    add = ["ip", "link", "add", LINK, "type", "veth", "peer", "name", "cheat1"]
    subprocess.run(add, check=True, timeout=10, stdin=subprocess.DEVNULL)
    name = LINK.encode()
    measured = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:

        def flags() -> int:
            return int(struct.unpack_from("=16sH", fcntl.ioctl(control, GET_FLAGS, struct.pack("=16s24x", name)))[1])

        for _ in range(times):
            begin = time.perf_counter()
            fcntl.ioctl(control, SET_FLAGS, struct.pack("=16sH22x", name, flags() | UP))
            while flags() & UP:
                if time.perf_counter() - begin > LONGEST:
                    sys.exit(f"the link stayed up for {LONGEST} s")
            measured.append(time.perf_counter() - begin)
    subprocess.run(["ip", "link", "delete", LINK], check=True, timeout=10, stdin=subprocess.DEVNULL)
    print(json.dumps(measured))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
