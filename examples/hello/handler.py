"""Greets, and shows which path and query reached the function.

    curl 'http://127.0.0.1:8080/spaces/default/functions/hello/invoke/stock/market/today?company=Google'
"""

import os


def handle(req):
    return {
        "body": {
            "message": f"{os.environ.get('GREETING', 'Hello')}, {req.query.get('name', 'world')}!",
            "path": req.path,
            "query": {key: values if len(values) > 1 else values[0] for key, values in req.query.lists()},
        }
    }
