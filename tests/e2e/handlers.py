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
