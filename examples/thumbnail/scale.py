"""Scales an image down with a box filter: each new pixel is the mean of the old ones that it covers."""

from typing import Iterator

from png import Image


def scale_down(image: Image, width: int) -> Image:
    height = max(1, round(image.height * width / image.width))
    edges = [x * image.width // width for x in range(width + 1)]
    return Image(width, height, image.channels, new_rows(image, edges, height))


def new_rows(image: Image, edges: list[int], height: int) -> Iterator[bytes]:
    rows = iter(image.rows)
    for y in range(height):
        first, last = y * image.height // height, (y + 1) * image.height // height
        covered = [next(rows) for _ in range(first, last)]
        if image.channels in (2, 4):
            yield mean_with_alpha(covered, edges, image.channels)
        else:
            yield mean(covered, edges, image.channels)


def mean(rows: list[bytes], edges: list[int], channels: int) -> bytes:
    out = bytearray()
    for begin, end in zip(edges, edges[1:]):
        boxes = [row[begin * channels : end * channels] for row in rows]
        count = (end - begin) * len(rows)
        out += bytes(sum(sum(box[c::channels]) for box in boxes) // count for c in range(channels))
    return bytes(out)


def mean_with_alpha(rows: list[bytes], edges: list[int], channels: int) -> bytes:
    """Colours count as much as they are opaque, so that what cannot be seen does not tint the edges."""
    out = bytearray()
    for begin, end in zip(edges, edges[1:]):
        box = b"".join(row[begin * channels : end * channels] for row in rows)
        alphas = box[channels - 1 :: channels]
        opaque = sum(alphas)
        for c in range(channels - 1):
            out.append(sum(v * a for v, a in zip(box[c::channels], alphas)) // opaque if opaque else 0)
        out.append(opaque // len(alphas))
    return bytes(out)
