"""What becomes of a callback: delivered, tried again, redirected, given up."""

import re
import socket
import time

import pytest

from async_calls import call
from handlers import ECHO
from polling import eventually
from receiver import CLOSE, CUT_SHORT, GARBAGE, Answer, Receiver
from sterna import problem_of

SOON = (("Retry-After", "0"),)


@pytest.fixture(scope="module")
def echo(async_server):
    async_server.deploy("echo", ECHO, limits={"memory_mb": 256})
    return async_server


def send(server, url, body=b"body"):
    return call(server, "echo", callback=url, content=body)


def last_delivery(found):
    return found["callback"]["deliveries"][-1]


@pytest.mark.sanitizer
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(echo, receiver, status):
    path = f"/status/{status}"
    made = send(echo, receiver.script(path, Answer(status)))
    found = made.until_delivery("delivered")
    assert found["callback"]["url"] == receiver.url(path)
    assert [each["status_code"] for each in found["callback"]["deliveries"]] == [status]
    assert last_delivery(found)["outcome"] == "delivered" and last_delivery(found)["at"]
    assert len(receiver.received(path)) == 1


def test_the_head_of_the_answer_decides(echo, receiver):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    made = send(echo, receiver.script("/slow-body", Answer(raw=head, hold=120)))
    found = made.until_delivery("delivered", 15)  # the receiver would have had 30 s
    assert [each["outcome"] for each in found["callback"]["deliveries"]] == ["delivered"]
    assert len(receiver.received("/slow-body")) == 1


def test_a_head_that_is_too_large_is_called_that(echo, receiver):
    large = Answer(raw=b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 2_000_000 + b"\r\nRetry-After: 0\r\n\r\n")
    made = send(echo, receiver.script("/large-head", large, Answer(204)))
    found = made.until_delivery("delivered", 30)
    first = found["callback"]["deliveries"][0]
    assert (first["outcome"], first["status_code"]) == ("retry", None)
    assert "head of the receiver's answer is larger than 64 KiB" in first["detail"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 400, 401, 403, 404, 410, 422, 451])
def test_other_3xx_and_4xx_are_undeliverable_at_once(echo, receiver, status):
    path, elsewhere = f"/status/{status}", f"/elsewhere/{status}"
    made = send(echo, receiver.script(path, Answer(status, (("Location", receiver.url(elsewhere)),))))
    found = made.until_delivery("undeliverable")
    assert found["state"] == "succeeded"
    assert [each["status_code"] for each in found["callback"]["deliveries"]] == [status]
    assert len(receiver.received(path)) == 1 and receiver.received(elsewhere) == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_some_statuses_are_tried_again(echo, receiver, status):
    path = f"/status/{status}"
    made = send(echo, receiver.script(path, Answer(status, SOON), Answer(status, SOON), Answer(200)))
    found = made.until_delivery("delivered", 30)
    assert [each["status_code"] for each in found["callback"]["deliveries"]] == [status, status, 200]
    assert {each.body for each in receiver.received(path)} == {b"body"}
    assert len(receiver.received(path)) == 3


@pytest.mark.parametrize("answer", [CLOSE, GARBAGE, CUT_SHORT], ids=["closed", "garbage", "cut-short"])
def test_a_broken_answer_is_tried_again(echo, answer):
    # On a new connection: a kept one that is closed without a word is opened again within the same try.
    with Receiver() as fresh:
        made = send(echo, fresh.script("/", answer, Answer(204)))
        deliveries = made.until_delivery("delivered", 30)["callback"]["deliveries"]
        assert deliveries[0]["status_code"] is None and deliveries[0]["detail"]
        assert deliveries[-1]["outcome"] == "delivered" and len(deliveries) == 2
        assert [each.body for each in fresh.received()] == [b"body", b"body"]


@pytest.mark.parametrize(
    "target, wanted",
    [
        ("/as/%7Ea/%2F/b;c=d/..%2f?q=%20%22&r=a'b", None),
        ("/as/a/../b/./c", None),
        ("/as/fragment?x=%41#not-sent", "/as/fragment?x=%41"),
    ],
)
def test_the_url_is_used_as_it_was_given(echo, receiver, target, wanted):
    made = send(echo, receiver.url(target))
    assert receiver.one(call_id=made.id).target == (wanted or target)


def test_a_name_that_cannot_be_resolved_is_tried_again(echo):
    made = send(echo, "http://no-such-host.invalid/")
    eventually(lambda: made.get()["callback"]["deliveries"])
    first = made.get()["callback"]["deliveries"][0]
    assert (first["outcome"], first["status_code"]) == ("retry", None) and "name" in first["detail"]


def test_nobody_listens_at_first(echo):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    made = send(echo, f"http://127.0.0.1:{port}/late")
    eventually(lambda: made.get()["callback"]["deliveries"], 20)
    assert made.get()["callback"]["delivery"] == "pending"
    with Receiver(port) as late:
        assert late.one("/late", 60).body == b"body"
        made.until_delivery("delivered")


@pytest.mark.parametrize("after", ["2", "date"])
def test_retry_after_of_the_receiver_is_honoured(echo, receiver, after):
    path = f"/retry-after/{after}"
    value = after if after == "2" else time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
    send(echo, receiver.script(path, Answer(503, (("Retry-After", value),)), Answer(200)))
    first, second = receiver.wait(path, 2)
    assert 1.9 <= second.at - first.at < 6


def test_out_of_attempts_it_is_undeliverable(echo, receiver):
    echo.deploy("impatient", ECHO, callback={"max_attempts": 3})
    made = call(echo, "impatient", callback=receiver.script("/never-well", Answer(500, SOON)), content=b"body")
    found = made.until_delivery("undeliverable", 30)
    assert [each["status_code"] for each in found["callback"]["deliveries"]] == [500, 500, 500]
    assert found["state"] == "succeeded" and len(receiver.received("/never-well")) == 3
    # Sent again by hand it has as many tries as before.
    receiver.script("/never-well", Answer(500, SOON), Answer(200))
    assert made.redeliver().status_code == 202
    assert len(made.until_delivery("delivered")["callback"]["deliveries"]) == 5


def test_a_slow_answer_is_waited_for(echo, receiver):
    made = send(echo, receiver.script("/slow", Answer(200, delay=2)))
    made.until_delivery("delivered")
    assert len(receiver.received("/slow")) == 1


def test_a_large_answer_of_the_receiver_does_not_matter(echo, receiver):
    made = send(echo, receiver.script("/large", Answer(200, body=b"x" * 10_000_000)))
    made.until_delivery("delivered")


def test_a_receiver_that_never_answers_does_not_hold_up_others(echo, receiver):
    with Receiver() as silent:
        silent.script("/", Answer(delay=600))
        for _ in range(40):
            send(echo, silent.url())
        silent.wait("/", 1)
        began = time.monotonic()
        made = send(echo, receiver.url("/beside"))
        receiver.one("/beside", 10, made.id)
        assert time.monotonic() - began < 5


# Redirects


def redirect(receiver, path, status, target):
    return receiver.script(path, Answer(status, (("Location", target),)))


@pytest.mark.parametrize("status", [307, 308])
def test_method_and_body_survive_a_redirect(echo, receiver, status):
    target = receiver.script(f"/moved/{status}/there", Answer(200))
    made = send(echo, redirect(receiver, f"/moved/{status}", status, target), b"\x00binary\xff" * 1000)
    found = made.until_delivery("delivered")
    came = receiver.one(f"/moved/{status}/there")
    assert (came.method, came.body) == ("POST", b"\x00binary\xff" * 1000)
    assert came.header("X-Call-Id") == made.id and came.header("webhook-id") == made.id
    assert last_delivery(found)["status_code"] == 200


def test_a_relative_redirect(echo, receiver):
    receiver.script("/rel/b", Answer(200))
    made = send(echo, redirect(receiver, "/rel/a", 307, "b?x=1"))
    made.until_delivery("delivered")
    assert receiver.one("/rel/b").target == "/rel/b?x=1"


def chain(receiver, name, hops):
    for hop in range(hops):
        redirect(receiver, f"/{name}/{hop}", 307 + hop % 2, receiver.url(f"/{name}/{hop + 1}"))
    receiver.script(f"/{name}/{hops}", Answer(200))
    return receiver.url(f"/{name}/0")


def test_three_redirects_are_followed(echo, receiver):
    made = send(echo, chain(receiver, "three", 3))
    made.until_delivery("delivered")
    assert len(receiver.received("/three/3")) == 1


def test_a_fourth_redirect_is_not_followed(echo, receiver):
    made = send(echo, chain(receiver, "four", 4))
    made.until_delivery("undeliverable")
    assert len(receiver.received("/four/3")) == 1 and receiver.received("/four/4") == []


def test_a_circle_of_redirects_ends(echo, receiver):
    made = send(echo, redirect(receiver, "/circle", 308, receiver.url("/circle")))
    made.until_delivery("undeliverable")
    assert len(receiver.received("/circle")) == 4


@pytest.mark.parametrize(
    "target", ["http://10.255.255.1/", "http://169.254.169.254/latest/", "http://[::1]:9/", "ftp://127.0.0.1/", "http://"]
)
def test_a_redirect_to_a_forbidden_target_is_undeliverable(echo, receiver, target):
    path = "/lure/" + re.sub(r"\W", "-", target)
    made = send(echo, redirect(receiver, path, 307, target))
    found = made.until_delivery("undeliverable")
    assert last_delivery(found)["detail"]
    assert len(receiver.received(path)) == 1


@pytest.mark.parametrize("headers", [(), (("Location", ""),)], ids=["none", "empty"])
def test_a_redirect_to_nowhere_is_undeliverable(echo, receiver, headers, request):
    path = f"/nowhere/{request.node.callspec.id}"
    send(echo, receiver.script(path, Answer(307, headers))).until_delivery("undeliverable")


# Sending again


@pytest.mark.sanitizer
def test_an_undeliverable_callback_can_be_sent_again(echo, receiver):
    url = receiver.script("/redeliver", Answer(404), Answer(200))
    made = send(echo, url)
    made.until_delivery("undeliverable")
    assert made.redeliver().status_code == 202
    found = made.until_delivery("delivered")
    assert [each["status_code"] for each in found["callback"]["deliveries"]] == [404, 200]
    first, second = receiver.received("/redeliver")
    assert (first.body, first.header("webhook-id")) == (second.body, second.header("webhook-id")) == (b"body", made.id)
    assert len(found["attempts"]) == 1


def test_a_delivered_callback_can_be_sent_again(echo, receiver):
    made = send(echo, receiver.url("/twice"))
    made.until_delivery("delivered")
    assert made.redeliver().status_code == 202
    receiver.wait("/twice", 2)


def test_what_cannot_be_sent_again(echo, receiver):
    without = call(echo, "echo")
    without.ended()
    problem_of(without.redeliver(), 409, "no_callback")
    waiting = call(echo, "echo", callback=receiver.url("/never"), headers={"X-Delay-Seconds": "600"})
    problem_of(waiting.redeliver(), 409, "not_ended")
    assert waiting.cancel().status_code == 202
    unknown = echo.request("POST", waiting.path.replace(waiting.id, "01ARZ3NDEKTSV4RRFFQ69G5FZZ") + "/redeliver")
    problem_of(unknown, 404, "invocation_not_found")


# Across restarts


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_delivery_goes_on_after_a_restart(start_server, ending):
    running = start_server("--callback-allow", "127.0.0.0/8", "--drain-seconds", "1")
    running.deploy("echo", ECHO)
    with Receiver() as first:
        first.script("/", Answer(503, SOON))
        made = send(running, first.url())
        first.wait("/", 2, 20)
        getattr(running, ending)()
        port = first.port
    running.start()
    with Receiver(port) as second:
        assert second.one("/", 60).body == b"body"
        found = made.until_delivery("delivered")
        assert (found["state"], len(found["attempts"])) == ("succeeded", 1)
        assert second.one("/").header("X-Attempt") == "1"
