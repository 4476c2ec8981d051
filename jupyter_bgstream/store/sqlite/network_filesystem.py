"""Detection of file systems that several machines share.

A write-ahead log needs memory that all its processes map. Machines have no memory in common: each would use its own and
damage the file (https://sqlite.org/wal.html, under "Overview").
"""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# Names in Linux. FUSE file systems are distinguished by subtype; only those in LOCAL_FUSE are local.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gpfs"),
        *("beegfs", "fhgfs", "pvfs2", "orangefs", "panfs", "glusterfs", "ocfs2", "gfs", "gfs2", "wekafs", "davfs"),
        # Folders of the host in a virtual machine or container: two kernels, so no memory in common either.
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner"),
    }
)
LOCAL_FUSE = frozenset(
    {"bindfs", "encfs", "fuse-overlayfs", "gocryptfs", "lxcfs", "mergerfs", "ntfs", "ntfs-3g", "portal", "unionfs"}
)


def network_file_system(folder: Path) -> str | None:
    """Return the type of the shared file system of an existing folder, such as ``nfs4``; None if it is local.

    It knows the mounts of Linux and the UNC paths of Windows. On other systems it returns None; a setting decides.
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
    """Return whether a type of file system, by its name in Linux, may be shared with other machines."""
    family, _, subtype = kind.partition(".")
    if family == "fuse":
        return subtype not in LOCAL_FUSE
    return kind in NETWORK


def type_of(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system of an absolute path, by the text of ``/proc/self/mountinfo`` (see proc(5)).

    Of several mounts at one point the last is visible.
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
