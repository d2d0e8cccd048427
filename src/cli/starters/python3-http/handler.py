"""{{name}}: a function for Sterna.

Deploy it, call it, read what it logged:

    sterna deploy {{name}}
    sterna invoke {{name}} -p '/some/path?who=you'
    sterna logs {{name}}

Other modules can lie beside this file and are imported as usual. Code at the top of a module runs once in each
worker, handle() runs once for each call.
"""


def handle(req):
    # req has method, path, query, headers, and body (bytes). print() and logging go to the function's logs.
    who = req.query.get("who", "world")
    print(f"{req.method} {req.path}")
    return {
        "status_code": 200,
        "headers": {"Content-Type": "application/json"},
        "body": {"hello": who, "path": req.path},
    }
