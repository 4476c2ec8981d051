"""Tells whether a folder lies on a file system that other machines share.

A write-ahead log needs memory that all its processes map, which no network has: two machines would each believe their
own and damage the file (https://sqlite.org/wal.html, under "Overview").
"""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# As Linux calls them. Those of FUSE are told by their subtype, of which only the ones listed in LOCAL_FUSE are local.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gpfs"),
        *("beegfs", "fhgfs", "pvfs2", "orangefs", "panfs", "glusterfs", "ocfs2", "gfs", "gfs2", "wekafs", "davfs"),
        # A virtual machine's or a container's view of its host's folders: two kernels, so no memory in common either.
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner"),
    }
)
LOCAL_FUSE = frozenset(
    {"bindfs", "encfs", "fuse-overlayfs", "gocryptfs", "lxcfs", "mergerfs", "ntfs", "ntfs-3g", "portal", "unionfs"}
)


def network_file_system(folder: Path) -> str | None:
    """Return the type of a shared file system, such as ``nfs4``, if an existing folder is on one, else None.

    Knows Linux's mounts and Windows' UNC paths; elsewhere it is None, and a setting has to say it.
    """
    folder = folder.resolve()
    if folder.drive.startswith("\\\\"):
        return "smb"
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return None
    kind = type_of(folder, mounts)
    return kind if kind is not None and is_shared(kind) else None


def is_shared(kind: str) -> bool:
    """Whether a type of file system, by its name in Linux, may be shared with other machines."""
    family, _, subtype = kind.partition(".")
    if family == "fuse":
        return subtype not in LOCAL_FUSE
    return kind in NETWORK


def type_of(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system of an absolute path, by the text of ``/proc/self/mountinfo`` (see proc(5)).

    Of mounts on one point the last is the one that is seen.
    """
    found, length = None, -1
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 6:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if len(point.parts) >= length and folder.is_relative_to(point):
            found, length = right.split(" ", 1)[0], len(point.parts)
    return found
