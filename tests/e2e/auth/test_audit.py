"""The audit log: what is in it, who may read it, and that it is kept."""

from polling import eventually
from sterna import problem_of


def audited(app, path="/spaces/default/audit"):
    answer = app.request("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_what_changes_something_is_kept_in_the_audit_log(server, admin, new_app):
    app = new_app(["app.read", "secret.create"])
    assert app.status("PUT", "/spaces/default/secrets/AUDITED", json={"value": "hunter2"}) == 201
    assert app.status("DELETE", "/spaces/default/functions/open?force=true") == 403
    assert app.status("GET", "/spaces/default/apps") == 200
    own = eventually(lambda: [e for e in audited(app) if e["app"] and e["app"]["id"] == app.client_id][:2], 10)
    refused, made = own
    assert (refused["method"], refused["path"]) == ("DELETE", "/spaces/default/functions/open")
    assert (refused["status"], refused["reason"]) == (403, "insufficient_scope")
    assert (made["status"], made["reason"], made["address"]) == (201, "", "127.0.0.1")
    assert "hunter2" not in str(audited(admin, "/audit")) and app.secret not in str(audited(admin, "/audit"))
    assert server.client.delete("/spaces/default/functions/open").status_code == 401
    assert audited(admin)[0]["app"] is not None, "strangers do not fill it"
    problem_of(app.request("GET", "/audit"), 403, "administrator_only")
    problem_of(new_app(["function"]).request("GET", "/spaces/default/audit"), 403, "insufficient_scope")
    assert admin.status("DELETE", "/spaces/default/secrets/AUDITED") == 204


def test_a_body_that_is_too_large_is_kept_in_the_audit_log(server, admin, new_app):
    app = new_app(["function.update", "secret.create", "app.read"])
    for path, length in (("/spaces/default/functions/open/code", 999_999_999), ("/spaces/default/secrets/LARGE", (1 << 20) + 1)):
        with server.open() as client:
            client.request("PUT", path, [("Authorization", f"Bearer {app.token}"), ("Content-Length", str(length))])
            assert client.read().status == 413
        entry = eventually(lambda: (newest := audited(app)[0])["path"] == path and newest, 10)
        assert (entry["method"], entry["status"], entry["reason"]) == ("PUT", 413, "body_too_large")
        assert entry["app"]["id"] == app.client_id


def test_an_app_of_another_space_cannot_fill_the_audit_log(admin, new_app):
    for name in ("audited-lab", "audited-ops"):
        assert admin.status("POST", "/spaces", json={"name": name}) == 201
    intruder = admin.make_app("intruder", ["function.invoke"], "audited-ops")
    for _ in range(100):
        assert intruder.status("DELETE", "/spaces/audited-lab/functions/xx") == 403

    def left_by_intruder(space):
        return [entry for entry in audited(admin, f"/spaces/{space}/audit?limit=500") if entry["app"]["name"] == "intruder"]

    # 60 a minute, and one with the number of the others when that minute ends meanwhile.
    assert 60 <= len(eventually(lambda: (own := left_by_intruder("audited-ops"))[59:] and own, 10)) < 100
    assert left_by_intruder("audited-lab") == []
    for name in ("audited-lab", "audited-ops"):
        assert admin.status("DELETE", f"/spaces/{name}?force=true") == 204


def test_the_audit_log_survives_a_kill(start_server):
    server = start_server()
    assert server.client.put("/spaces/default/secrets/KEY", json={"value": "v"}).status_code == 201
    server.kill()
    server.start()
    entry = server.client.get("/spaces/default/audit").json()["data"][0]
    assert (entry["method"], entry["path"], entry["app"]) == ("PUT", "/spaces/default/secrets/KEY", None)
