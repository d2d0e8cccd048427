"""Reads and writes PNG (W3C PNG specification, third edition) row by row, so that only one row is in memory."""

import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Iterable, Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
COLOUR_TYPE_OF = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}


class BadPng(Exception):
    def __init__(self, text, status=400):
        super().__init__(text)
        self.status = status


@dataclass
class Image:
    width: int
    height: int
    channels: int  # 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; 8 bits each
    rows: Iterable[bytes]


def decode(data: bytes, max_pixels: int) -> Image:
    chunks = read_chunks(data)
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != 13:
        raise BadPng("the image does not begin with its header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if not width or not height or depth not in DEPTHS.get(colour, ()) or compression or filtering:
        raise BadPng("the image's header is not valid")
    if interlace:
        raise BadPng("interlaced images are not supported", 415)
    if width * height > max_pixels:
        raise BadPng(f"the image has more than {max_pixels} pixels", 413)

    palette, transparency, compressed = [], b"", bytearray()
    for kind, content in chunks:
        if kind == b"PLTE":
            palette = [content[i : i + 3] for i in range(0, len(content), 3)]
        elif kind == b"tRNS" and colour == PALETTE:
            transparency = content
        elif kind == b"IDAT":
            compressed += content
    samples = SAMPLES[colour]
    rows = unfilter(
        inflate(compressed), (width * samples * depth + 7) // 8, height, max(1, samples * depth // 8)
    )
    if depth == 16:
        rows = (row[::2] for row in rows)  # the high byte of each sample
    elif depth < 8:
        rows = (unpack_bits(row, width, depth, colour == GREY) for row in rows)
    if colour == PALETTE:
        table = palette_table(palette, transparency)
        rows = (look_up(row, table) for row in rows)
        samples = len(table[0])
    return Image(width, height, samples, rows)


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise BadPng("the image is cut off")
        (length,) = struct.unpack_from(">I", data, at)
        kind, content, end = data[at + 4 : at + 8], data[at + 8 : at + 8 + length], at + 12 + length
        if end > len(data):
            raise BadPng("the image is cut off")
        if zlib.crc32(content, zlib.crc32(kind)) != struct.unpack_from(">I", data, end - 4)[0]:
            raise BadPng("a checksum in the image is wrong")
        yield kind, content
        at = end


def inflate(compressed: bytes) -> Iterator[bytes]:
    """Parts of at most 64 KiB: what is not asked for is not unpacked, whatever the image claims."""
    stream = zlib.decompressobj()
    try:
        part = stream.decompress(compressed, 65536)
        while part:
            yield part
            part = stream.decompress(stream.unconsumed_tail, 65536)
    except zlib.error as error:
        raise BadPng("the image's pixels cannot be unpacked") from error


def unfilter(parts: Iterator[bytes], row_bytes: int, height: int, step: int) -> Iterator[bytes]:
    """`step`: how many bytes lie between a sample and the same sample of the pixel before."""
    buffer, above = bytearray(), bytes(row_bytes)
    for _ in range(height):
        while len(buffer) < row_bytes + 1:
            part = next(parts, None)
            if part is None:
                raise BadPng("the image has fewer rows than its header says")
            buffer += part
        kind, row = buffer[0], buffer[1 : row_bytes + 1]
        del buffer[: row_bytes + 1]
        above = bytes(unfilter_row(kind, row, above, step))
        yield above


def unfilter_row(kind: int, row: bytearray, above: bytes, step: int) -> bytearray | bytes:
    if kind == 0:
        return row
    if kind == 1:
        for first in range(step):
            row[first::step] = bytes(accumulate(row[first::step], lambda left, value: (left + value) & 255))
        return row
    if kind == 2:
        return bytes((value + up) & 255 for value, up in zip(row, above))
    if kind == 3:
        for i, up in enumerate(above):
            left = row[i - step] if i >= step else 0
            row[i] = (row[i] + (left + up) // 2) & 255
        return row
    if kind == 4:
        for i, up in enumerate(above):
            left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
            row[i] = (row[i] + paeth(left, up, corner)) & 255
        return row
    raise BadPng("a row of the image has an unknown filter")


def paeth(left: int, up: int, corner: int) -> int:
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def unpack_bits(row: bytes, width: int, depth: int, stretch: bool) -> bytes:
    """One byte a sample; grey levels are stretched to 0..255, palette numbers stay."""
    mask, per_byte = (1 << depth) - 1, 8 // depth
    factor = 255 // mask if stretch else 1
    return bytes(
        ((row[x // per_byte] >> (8 - depth * (x % per_byte + 1))) & mask) * factor for x in range(width)
    )


def palette_table(palette: list[bytes], transparency: bytes) -> list[bytes]:
    if not palette or len(palette) > 256 or len(palette[-1]) != 3:
        raise BadPng("the image's palette is not valid")
    if not transparency:
        return palette
    return [colour + bytes(transparency[i : i + 1] or b"\xff") for i, colour in enumerate(palette)]


def look_up(row: bytes, table: list[bytes]) -> bytes:
    try:
        return b"".join([table[number] for number in row])
    except IndexError:
        raise BadPng("a pixel is not in the image's palette") from None


def encode(image: Image) -> bytes:
    packer = zlib.compressobj(6)
    pixels = b"".join(packer.compress(b"\0" + row) for row in image.rows) + packer.flush()
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, COLOUR_TYPE_OF[image.channels], 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
    )
