"""PNG files that browsers draw."""

from __future__ import annotations

import random
import struct
import zlib


def png(width: int, height: int, *, noise: bool = False) -> bytes:
    """Return an image of colours that run into each other, transparent at its right end; or of noise."""
    chance = random.Random(1)
    rows = []
    for y in range(height):
        pixels = (
            chance.randbytes(4 * width)
            if noise
            else b"".join(
                bytes((230 * x // width, 90, 230 * y // height, 255 if x < 0.8 * width else 0)) for x in range(width)
            )
        )
        rows.append(b"\0" + pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    )
