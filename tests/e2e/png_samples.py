"""Makes PNG images of every kind for the tests, with an encoder of its own."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def assemble(width, height, depth, colour, raw_rows, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    pixels = zlib.compress(b"".join(raw_rows))
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def filtered(kind, row, above, step):
    """One row as the filter `kind` writes it (PNG specification, section 9)."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        left = row[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
        out.append((value - guess) & 255)
    return bytes(out)


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def rgb_image(width, height, pixel, kinds=(0,)):
    """`pixel(x, y)` answers (r, g, b); `kinds` are the filters of the rows, in turn."""
    rows, above = [], bytes(width * 3)
    for y in range(height):
        row = b"".join(bytes(pixel(x, y)) for x in range(width))
        rows.append(filtered(kinds[y % len(kinds)], row, above, 3))
        above = row
    return assemble(width, height, 8, 2, rows)


def read(png):
    """(width, height, colour, rows) of an 8-bit image without filters."""
    assert png.startswith(SIGNATURE)
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + content)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", content)
            assert depth == 8
        data += content if kind == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(data)
    stride = len(raw) // height
    rows = [raw[y * stride : (y + 1) * stride] for y in range(height)]
    assert all(row[0] == 0 for row in rows)
    return width, height, colour, [row[1:] for row in rows]
