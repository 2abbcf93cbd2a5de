"""What a disk that is full, or fails, means to whoever wanted to write."""

from __future__ import annotations

import errno

from appliance.runtime.errors import Refused

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FAILING = frozenset({errno.EIO, errno.EROFS, errno.EUCLEAN, errno.EBADMSG, errno.ENXIO, errno.ENODEV})
# What the kernel's block layer calls media, devices and lines that fail (block/blk-core.c, blk_errors); ENOMEM is what ext4 says of a
# folder or an inode that lies where the device has nothing any more.
FAILING |= {errno.ENODATA, errno.EREMOTEIO, errno.ETIMEDOUT, errno.ENOLINK, errno.EBADE, errno.EILSEQ, errno.ENOMEM}


def told(error: OSError) -> Exception:
    """Return what callers refuse with where the disk is full or fails, and any other failure as itself."""
    if error.errno in FULL:
        return Refused("store-full", f"the store's disk is full: {error.strerror}", 507)
    if error.errno in FAILING:
        return Refused("store-broken", f"the store's disk takes nothing in: {error.strerror}", 507)
    return error
