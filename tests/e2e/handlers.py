"""Handlers that several test modules deploy."""

MIRROR = """
import base64

def handle(req):
    return {"body": {
        "method": req.method,
        "path": req.path,
        "query": [[key, values] for key, values in req.query.lists()],
        "headers": [list(pair) for pair in req.headers],
        "body": base64.b64encode(req.body).decode(),
    }}
"""

# Answers with the body it was sent.
ECHO = """
def handle(req):
    return {"headers": {"content-type": "application/octet-stream"}, "body": req.body}
"""

# Runs as long as ?seconds= says and blocks its worker meanwhile; its log tells when it begins.
SLOW = """
import time

def handle(req):
    print("began", req.query.get("seconds"))
    time.sleep(float(req.query.get("seconds", "1")))
    return {"body": "done"}
"""

# Answers what its body says, as a Python expression; `count` in it is the number of the attempt in this worker. Says
# "run" each time, so that runs can be counted by the log.
SCRIPTED = """
import os, time

COUNTS = {}

def handle(req):
    print("run", flush=True)
    call_id = req.headers["X-Call-Id"]
    count = COUNTS[call_id] = COUNTS.get(call_id, 0) + 1
    return eval(req.body)
"""
