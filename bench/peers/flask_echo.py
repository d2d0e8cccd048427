"""Flask behind waitress: sends the request's body back. Usage: flask_echo.py PORT"""

import sys

import flask
import waitress

app = flask.Flask(__name__)


@app.post("/")
def echo():
    return flask.Response(flask.request.get_data(), content_type="application/octet-stream")


# The limits are raised so that 256 connections are served instead of being left in the kernel's waiting line.
waitress.serve(
    app,
    listen=f"127.0.0.1:{sys.argv[1]}",
    connection_limit=1024,
    backlog=1024,
    asyncore_use_poll=True,
    channel_timeout=600,
)
