"""Answers with the request as the function saw it: useful to look at what a client or a proxy sends.

    curl -d 'some text' 'http://127.0.0.1:8080/spaces/default/functions/echo/invoke/a/b?x=1&x=2'

Text is shown as `body`; bytes that are not UTF-8 come as `body_base64`.
"""

import base64


def handle(req):
    answer = {
        "method": req.method,
        "path": req.path,
        "query": [[key, value] for key, value in req.query.items(multi=True)],
        "headers": [[name, value] for name, value in req.headers],
    }
    try:
        answer["body"] = req.body.decode()
    except UnicodeDecodeError:
        answer["body_base64"] = base64.b64encode(req.body).decode()
    return {"body": answer}
