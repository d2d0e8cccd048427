import base64
import os
import sys
import time


def handle(req):
    return globals()[req.path.strip("/").replace("-", "_")](req)


def mirror(req):
    return {"body": {
        "method": req.method,
        "path": req.path,
        "query": [[key, value] for key, values in req.query.lists() for value in values],
        "headers": [[key.lower(), value] for key, value in req.headers],
        "body": base64.b64encode(req.body).decode(),
    }}  # fmt: skip


def echo(req):
    return {"body": req.body, "headers": {"Content-Type": "application/octet-stream"}}


def answer(req):
    return {"status_code": 418, "headers": [("X-Tea", "green"), ("X-Tea", "black"), ("Connection", "close")], "body": "tea"}  # fmt: skip


def large(req):
    return {"body": b"x" * int(req.query["bytes"])}


def stream(req):
    def parts():
        for number in range(3):
            yield f"part {number}\n"
            time.sleep(0.3)

    return {"body": parts()}


def log(req):
    print("to stdout", req.query["word"])
    print("to stderr", req.query["word"], file=sys.stderr)
    return {"body": "logged"}


def sleep(req):
    time.sleep(float(req.query["seconds"]))
    return {"body": "slept"}


def until_cancelled(req):
    def parts():
        try:
            while True:
                yield "part\n"
                time.sleep(0.02)
        finally:
            print("cleaned up")

    return {"body": parts()}


def fail(req):
    raise ValueError("on purpose")


def leave(req):
    os._exit(3)


def crash(req):
    os.abort()


def kill(req):
    os.kill(os.getpid(), 9)


def environment(req):
    return {"body": {"COLOUR": os.environ["COLOUR"], "STERNA_FUNCTION": os.environ["STERNA_FUNCTION"]}}
