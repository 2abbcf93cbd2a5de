"""A replica that follows a registry's folder once, in a process of its own: ``python -m tests.bench._replica BOX REGISTRY KEY``.

Prints what it took as JSON: seconds of its own work, seconds of its processor, most bytes in memory.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from threading import Thread

from appliance.identity.keys import PublicKey
from gateway.replica.replica import Replica
from gateway.resolver.table import Table
from tests.bench._load import memory


class Memory(Thread):
    """Looks how much memory is the process' own, not the kernel's copy of the table."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        while True:
            self.most = max(self.most, memory(os.getpid())[0])
            time.sleep(0.05)


async def follow(box: Path, registry: Path, key: str) -> None:
    looking = Memory()
    looking.start()
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        replica = Replica(box / "identifiers", box / "coming", tasks)
        replica.prepare()
        replica.keys = (PublicKey.parse(key),)
        told = await replica.step({}, begin=True)
        while told.paths or told.busy:
            if told.busy:
                await asyncio.wait({replica._job})
            files = {
                path: (registry / path).read_bytes() if (registry / path).is_file() else None for path in told.paths
            }
            told = await replica.step(files, begin=False)
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    info = Table.open(box / "identifiers").info()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "fresh": told.fresh,
                "seconds": seconds,
                "processor": used.ru_utime + used.ru_stime,
                "memory": looking.most,
                "open": time.perf_counter() - begun,
                "count": info.count,
                "links": info.links,
                "bytes": sum(level.bytes for level in info.levels),
                "levels": len(info.levels),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(follow(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
