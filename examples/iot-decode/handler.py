"""Decodes Cayenne LPP, the usual payload of small LoRaWAN sensors, into named measurements.

    curl -d '{"data": "AWcBEAJoKA=="}' http://127.0.0.1:8080/spaces/default/functions/iot-decode/invoke

Takes what network servers send (`data` of ChirpStack, `uplink_message.frm_payload` of The Things Stack, both base64),
or the bare bytes as `application/octet-stream`. 27.2 degrees on channel 1 come as
{"channel": 1, "type": "temperature", "value": 27.2}.
"""

import base64
import binascii
import json

# type number -> name, fields of (name, bytes, signed, divisor); one unnamed field gives a plain number.
TYPES = {
    0: ("digital_input", [("", 1, False, 1)]),
    1: ("digital_output", [("", 1, False, 1)]),
    2: ("analog_input", [("", 2, True, 100)]),
    3: ("analog_output", [("", 2, True, 100)]),
    101: ("illuminance", [("", 2, False, 1)]),
    102: ("presence", [("", 1, False, 1)]),
    103: ("temperature", [("", 2, True, 10)]),
    104: ("humidity", [("", 1, False, 2)]),
    113: ("accelerometer", [("x", 2, True, 1000), ("y", 2, True, 1000), ("z", 2, True, 1000)]),
    115: ("barometer", [("", 2, False, 10)]),
    116: ("voltage", [("", 2, False, 100)]),
    117: ("current", [("", 2, False, 1000)]),
    134: ("gyrometer", [("x", 2, True, 100), ("y", 2, True, 100), ("z", 2, True, 100)]),
    136: (
        "location",
        [("latitude", 3, True, 10000), ("longitude", 3, True, 10000), ("altitude", 3, True, 100)],
    ),
}


def handle(req):
    try:
        measurements = list(decode(payload_of(req)))
    except ValueError as error:
        print(f"undecodable: {error}")
        return {"status_code": 422, "body": {"error": str(error)}}
    return {"body": {"measurements": measurements}}


def payload_of(req):
    if req.headers.get("Content-Type", "").startswith("application/octet-stream"):
        return req.body
    try:
        message = json.loads(req.body)
        encoded = message["uplink_message"]["frm_payload"] if "uplink_message" in message else message["data"]
        return base64.b64decode(encoded, validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ValueError("neither bytes nor JSON with a base64 payload in data or uplink_message") from None


def decode(payload):
    at = 0
    while at < len(payload):
        if at + 2 > len(payload):
            raise ValueError(f"byte {at}: a channel without a type")
        channel, number = payload[at], payload[at + 1]
        if number not in TYPES:
            raise ValueError(f"byte {at + 1}: unknown type {number}")
        name, fields = TYPES[number]
        values, at = read_fields(payload, at + 2, fields)
        yield {"channel": channel, "type": name, "value": values.get("", values)}


def read_fields(payload, at, fields):
    values = {}
    for field, size, signed, divisor in fields:
        raw = payload[at : at + size]
        if len(raw) < size:
            raise ValueError(f"byte {at}: the payload is cut off")
        number = int.from_bytes(raw, "big", signed=signed)
        values[field] = number if divisor == 1 else number / divisor
        at += size
    return values, at
