"""/openapi.json against the running server: every operation is called, and every answer is as the document says."""

import itertools
import json

import jsonschema
import pytest

from polling import eventually
from sterna import to_base64

HANDLER = "def handle(req):\n    return {'body': {'path': req.path}}\n"
FAILING = "def handle(req):\n    raise ValueError('on purpose')\n"
METHODS = ("get", "put", "post", "patch", "delete")
FUNCTION = {"name": "new", "template": "python3-http", "source": {"code": to_base64(HANDLER)}}
SETTINGS = {key: value for key, value in FUNCTION.items() if key != "name"}
MERGE = {"Content-Type": "application/merge-patch+json"}
# Headers that an answer of that status has only for some reasons.
SOMETIMES = {"Retry-After", "X-Function-Version", "X-Call-Id", "X-Sterna-Fault", "Idempotency-Replayed"}
DEPTHS = ("", "Level1", "Level2", "Level3")

BUILT = """
#include <sterna/function.h>
sterna::Response handle(const sterna::Request&) { return sterna::text("built"); }
"""

# How each operation is called so that it succeeds: parameters of the path, options of the request. What is made here
# is removed further down.
CALLS = {
    "listSpaces": {},
    "createSpace": {"json": {"name": "lab"}},
    "getSpace": {"space": "lab"},
    "patchSpace": {"space": "lab", "json": {"callback_allow": ["10.0.0.0/8"]}, "headers": MERGE},
    "getSigningSecret": {"space": "lab"},
    "rotateSigningSecret": {"space": "lab"},
    "putSecret": {"name": "KEY", "json": {"value": "secret"}},
    "getSecret": {"name": "KEY"},
    "listSecrets": {},
    "createApp": {"json": {"name": "ci", "scopes": ["function.read"]}},
    "listApps": {},
    "getApp": {},
    "patchApp": {"json": {"description": "patched"}, "headers": MERGE},
    "rotateApp": {},
    "deleteApp": {},
    "createServerApp": {"json": {"name": "ci", "scopes": ["space"]}},
    "listServerApps": {},
    "getServerApp": {},
    "patchServerApp": {"json": {"expires_at": "2999-01-01T00:00:00Z"}, "headers": MERGE},
    "rotateServerApp": {},
    "giveToken": {"data": {"grant_type": "client_credentials", "scope": "space.read"}},
    "revokeToken": {"data": {"token": "unknown"}},
    "listAudit": {},
    "listServerAudit": {},
    "deleteServerApp": {},
    "createFunction": {"json": FUNCTION},
    "listFunctions": {},
    "getFunction": {},
    "replaceFunction": {"json": {**SETTINGS, "description": "replaced"}},
    "patchFunction": {"json": {"description": "patched"}, "headers": MERGE},
    "getCode": {},
    "putCode": {"json": SETTINGS["source"]},
    "listVersions": {},
    "getVersion": {"a": "1"},
    "diffVersions": {"a": "1", "b": "2"},
    "rollBack": {"json": {"version": 1}},
    "getTraffic": {},
    "getSandbox": {},
    "putTraffic": {"json": {"versions": [{"version": 1, "percent": 100}]}},
    "stopFunction": {},
    "startFunction": {},
    **{f"invoke{method}{depth}": {} for method in ("Get", "Post", "Put", "Patch", "Delete") for depth in DEPTHS},
    **{f"asyncInvoke{depth}": {} for depth in DEPTHS},
    "getLogs": {},
    "getBuildLogs": {"name": "built", "a": "1"},
    "listInvocations": {},
    "getInvocation": {"id": "ended"},
    "getInvocationResponse": {"id": "ended"},
    "cancelInvocation": {"id": "waiting"},
    "redriveInvocation": {"id": "failed"},
    "redeliverInvocation": {"id": "undelivered"},
    "deleteFunction": {},
    "deleteSecret": {"name": "KEY"},
    "deleteSpace": {"space": "lab"},
    "getHealth": {},
    "getReadiness": {},
    "getMetrics": {},
    "getOpenApi": {},
}  # fmt: skip


class Document:
    def __init__(self, content):
        self.json = content
        self.operations = {
            item[method]["operationId"]: (method, path, item[method])
            for path, item in content["paths"].items()
            for method in METHODS
            if method in item
        }

    def resolved(self, node):
        while "$ref" in node:
            found = self.json
            for key in node["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            node = found
        return node

    def validate(self, instance, schema):
        """By the schema as it stands in the document, so that its references are found."""
        validator = jsonschema.Draft202012Validator(
            {**schema, "components": self.json["components"]},
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]
        assert not errors, (errors, instance)

    def check(self, operation_id, answer):
        """Status, headers, type and body of an answer are described."""
        responses = self.operations[operation_id][2]["responses"]
        described = responses.get(str(answer.status_code), responses.get("default"))
        assert described, (operation_id, answer.status_code, answer.text)
        described = self.resolved(described)
        for name in set(described.get("headers", {})) - SOMETIMES:
            assert name in answer.headers, (operation_id, answer.status_code, name)
        content = described.get("content", {})
        kind = answer.headers.get("content-type", "").split(";")[0]
        if not content:
            return
        assert kind in content or "*/*" in content, (operation_id, kind, list(content))
        schema = content.get(kind, {}).get("schema")
        if schema and kind == "application/x-ndjson":
            for line in answer.text.splitlines():
                self.validate(json.loads(line), schema)
        elif schema and kind.endswith("json"):
            self.validate(answer.json(), schema)


@pytest.fixture(scope="module")
def document(server):
    answer = server.request("GET", "/openapi.json")
    assert answer.status_code == 200
    return Document(answer.json())


def filled(path, **parameters):
    for name, value in {"space": "default", "name": "new", "a": "a", "b": "b", "c": "c", "app": "ci", **parameters}.items():
        path = path.replace("{" + name + "}", value)
    return path


def invocation(server, name, state, headers=None):
    """The id of an invocation of `name` in that state."""
    answer = server.request("POST", f"/spaces/default/functions/{name}/async-invoke", headers=headers or {})
    assert answer.status_code == 202, answer.text
    location = answer.headers["Location"]
    eventually(lambda: server.request("GET", location).json()["state"] == state, 30)
    return answer.json()["id"]


@pytest.fixture(scope="module")
def invocations(server):
    """Invocations as the operations need them; they are of functions of their own, so that these stay as they are."""
    server.deploy("fine", HANDLER)
    server.deploy("failing", FAILING, **{"async": {"max_attempts": 1}})
    server.deploy("built", {"handler.cc": BUILT}, template="cpp")
    callback = {"X-Callback-Url": "http://undelivered.invalid/"}
    return {
        "ended": ("fine", invocation(server, "fine", "succeeded")),
        "waiting": ("fine", invocation(server, "fine", "queued", {"X-Delay-Seconds": "3600"})),
        "failed": ("failing", invocation(server, "failing", "failed")),
        "undelivered": ("fine", invocation(server, "fine", "succeeded", callback)),
    }


def test_every_operation_answers_as_described(server, document, invocations):
    assert set(CALLS) == set(document.operations), "each operation is called here"
    client = {}
    for operation_id, call in CALLS.items():
        method, path, _ = document.operations[operation_id]
        options = {key: call[key] for key in ("json", "headers", "data") if key in call}
        parameters = {key: value for key, value in call.items() if key not in options}
        if "data" in options:
            options["data"] = {**options["data"], **client}
        if "id" in parameters:
            parameters["name"], parameters["id"] = invocations[parameters["id"]]
        if "invoke" in operation_id.lower():
            server.wait_for_status("new", "Running")
        answer = server.request(method.upper(), filled(path, **parameters), **options)
        assert answer.status_code < 300, (operation_id, answer.status_code, answer.text)
        document.check(operation_id, answer)
        if operation_id == "createFunction":
            server.wait_for_status("new", "Running")  # only versions that have run can get traffic
        if operation_id in ("createServerApp", "rotateServerApp"):
            client = {key: answer.json()[key] for key in ("client_id", "client_secret")}


def test_what_is_not_there_is_answered_as_described(server, document):
    for operation_id, (method, path, operation) in document.operations.items():
        if "{space}" not in path:
            continue
        body = CALLS[operation_id].get("json")
        answer = server.request(
            method.upper(),
            filled(path, space="nowhere", a="1", b="2", id="01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            json=body,
        )
        assert answer.status_code == 404, (operation_id, answer.status_code, answer.text)
        document.check(operation_id, answer)


def test_methods_that_are_not_described_are_refused_with_those_that_are(server, document):
    for path, item in document.json["paths"].items():
        described = {method.upper() for method in METHODS if method in item}
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE"} - described:
            target = filled(path, a="1", b="2", id="01ARZ3NDEKTSV4RRFFQ69G5FAV", name="KEY")
            answer = server.request(method, target)
            assert answer.status_code == 405, (method, path, answer.status_code, answer.text)
            allowed = {word.strip() for word in answer.headers["Allow"].split(",")} - {"HEAD"}
            assert allowed == described, (method, path)


def test_examples_of_what_is_refused_by_its_fields(server, document):
    wrong = [
        ("createSpace", {"name": "Not A Name"}),
        ("createFunction", {**FUNCTION, "name": "Bad_Name", "limits": {"memory_mb": -1}}),
        ("putSecret", {"value": 7}),
        ("createApp", {"name": "ci", "scopes": ["everything"], "functions": "f"}),
        ("createServerApp", {"scopes": []}),
    ]
    for operation_id, body in wrong:
        method, path, _ = document.operations[operation_id]
        answer = server.request(method.upper(), filled(path, name="KEY"), json=body)
        assert 400 <= answer.status_code < 500, (operation_id, answer.text)
        document.check(operation_id, answer)


def test_parameters_of_paths_are_declared(document):
    for path, item in document.json["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        for method in METHODS:
            declared = [
                document.resolved(each)
                for each in itertools.chain(item.get("parameters", []), item.get(method, {}).get("parameters", []))
            ]
            if method in item:
                assert names == [each["name"] for each in declared if each["in"] == "path"], (method, path)


def test_null_takes_a_setting_back_as_described(server, document):
    server.request("POST", "/spaces/default/apps", json={"name": "taken-back", "scopes": ["function.read"]})
    bodies = {
        "patchSpace": {"callback_allow": None, "rate_limit": None, "quota": None},
        "patchApp": {"description": None, "functions": None, "expires_at": None, "rate_limit": None},
    }
    for operation_id, body in bodies.items():
        method, path, operation = document.operations[operation_id]
        described = next(iter(operation["requestBody"]["content"].values()))["schema"]
        document.validate(body, described)
        answer = server.request(method.upper(), filled(path, app="taken-back"), json=body, headers=MERGE)
        assert answer.status_code == 200, answer.text


def test_calls_that_are_kept_are_answered_as_described(server, document):
    server.deploy("kept", "def handle(req):\n    return {'body': 'done'}\n")
    _, path, operation = document.operations["invokePost"]
    target, key = filled(path, name="kept"), {"Idempotency-Key": "one"}
    declared = {document.resolved(each)["name"] for each in operation["parameters"]}
    assert declared == {"X-Call-Id", "Idempotency-Key", "Prefer"}
    assert server.request("POST", target, headers=key).status_code == 200
    for headers, body, status in [
        (key, b"another", 422),
        ({"Idempotency-Key": ""}, b"", 400),
        ({"Prefer": "respond-async, wait=0"}, b"", 202),
    ]:
        answer = server.request("POST", target, headers=headers, content=body)
        assert answer.status_code == status and str(status) in operation["responses"], (status, answer.text)
        document.check("invokePost", answer)
