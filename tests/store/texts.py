"""Events whose bytes follow from their number, so that whoever reads one knows what it must be."""

from jupyter_bgstream.core.codec import encode, stamped
from jupyter_bgstream.core.events import Delta

CLAIMED = 2  # events before the first delta: queued, attempt


def delta(seq):
    return Delta(channel="text", text=f"{seq} " + "äø𝄞\n"[seq % 4] * (seq * 7919 % 23))


def deltas(after, count):
    return [delta(seq) for seq in range(after + 1, after + 1 + count)]


def written(seq):
    return stamped(encode(delta(seq)), seq=seq, attempt=1)
