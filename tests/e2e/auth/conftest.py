import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from access import App, deploy, name_for  # noqa: E402
from sterna import Server  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("access") / "data", auth="oauth2").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def admin(server):
    """The administrator, and what all tests look at: functions of two spaces."""
    admin = App.administrator(server)
    assert admin.status("POST", "/spaces", json={"name": "lab"}) == 201
    for space in ("default", "lab"):
        deploy(admin, "guarded", space)
        deploy(admin, "open", space, access="public")
        deploy(admin, "inner", space, access="internal")
    return admin


@pytest.fixture
def new_app(admin, request):
    """Makes an app of `default` that goes with the test."""
    made = []

    def make(scopes, space="default", **fields):
        name = f"{name_for(request)[-50:].strip('-')}-{len(made)}"
        made.append((space, admin.make_app(name, scopes, space, **fields)))
        return made[-1][1]

    yield make
    for space, app in made:
        path = f"/spaces/{space}/apps" if space else "/apps"
        assert admin.status("DELETE", f"{path}/{app.client_id}") in (204, 404)
