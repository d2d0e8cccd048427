"""Scales a PNG image down, with the standard library alone.

    curl --data-binary @photo.png -o small.png \\
        'http://127.0.0.1:8080/spaces/default/functions/thumbnail/invoke?width=96'

Takes every kind of PNG but interlaced ones, up to MAX_PIXELS; keeps grey, colour and transparency. `width` is 1 to
1024 (default 128); an image that is narrower stays as it is.
"""

from png import BadPng, decode, encode
from scale import scale_down

MAX_WIDTH = 1024
MAX_PIXELS = 8_000_000


def handle(req):
    try:
        width = int(req.query.get("width", "128"))
    except ValueError:
        width = 0
    if not 1 <= width <= MAX_WIDTH:
        return problem(400, f"width must be a number from 1 to {MAX_WIDTH}")
    if not req.body.startswith(b"\x89PNG\r\n\x1a\n"):
        return problem(415, "send a PNG image as the request's body")
    try:
        image = decode(req.body, MAX_PIXELS)
        if image.width <= width:
            return png_answer(req.body)
        return png_answer(encode(scale_down(image, width)))
    except BadPng as error:
        return problem(error.status, str(error))


def png_answer(data):
    return {"headers": {"content-type": "image/png"}, "body": data}


def problem(status, text):
    return {"status_code": status, "body": {"error": text}}
