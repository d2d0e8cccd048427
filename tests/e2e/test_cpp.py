"""The template `cpp`, beyond what all templates share."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from polling import eventually
from sterna import problem_of

HEAD = "#include <sterna/function.h>\n#include <atomic>\n#include <chrono>\n#include <cstdio>\n#include <iostream>\n#include <thread>\n"
HANDLE = "sterna::Response handle(const sterna::Request& request) {"


def deploy(server, name, body, **fields):
    server.deploy(name, {"handler.cc": HEAD + HANDLE + body + "}"}, template="cpp", **fields)


def texts_of(server, name, answer):
    return [line["text"] for line in server.logs(name, call_id=answer.headers["x-call-id"])]


def test_the_parts_of_a_request(server):
    deploy(server, "parts", """
        std::string out;
        for (const auto& [key, value] : request.query_values()) out += key + "=" + value + ";";
        out += std::string(request.header("x-a").value_or("none")) + ";" + std::string(request.call_id());
        return sterna::text(out, request.query_value("missing") ? 500 : 201);
    """)  # fmt: skip
    answer = server.call("parts", "/?a=1+2&b&=x&c=%C3%A9%41", headers={"X-A": "yes"})
    assert answer.status_code == 201
    assert answer.text == f"a=1 2;b=;=x;c=éA;yes;{answer.headers['x-call-id']}"


@pytest.mark.parametrize("statement", ["throw 7;", "throw std::string();"])
def test_whatever_is_thrown_is_a_failure(server, statement):
    deploy(server, "thrown", statement)
    answer = server.call("thrown")
    problem_of(answer, 500, "function_raised", "function")
    eventually(lambda: "an exception that is no std::exception" in texts_of(server, "thrown", answer))
    server.request("DELETE", "/spaces/default/functions/thrown")


def test_a_stream_that_throws_is_broken_off(server):
    deploy(server, "torn", """
        sterna::Response response;
        response.stream = [](sterna::Writer& writer) { writer.write("half"); throw std::bad_function_call(); };
        return response;
    """)  # fmt: skip
    with pytest.raises(httpx.RemoteProtocolError):
        server.call("torn")
    eventually(lambda: [line for line in server.logs("torn") if line["stream"] == "stderr"])


def test_a_stream_that_throws_before_its_first_part_is_a_failure(server):
    deploy(server, "torn-at-once", """
        sterna::Response response;
        response.stream = [](sterna::Writer&) { throw std::bad_function_call(); };
        return response;
    """)  # fmt: skip
    problem_of(server.call("torn-at-once"), 500, "function_raised", "function")


def test_a_stream_may_be_empty(server):
    deploy(server, "nothing", """
        sterna::Response response{204, {}, {{"X-A", "1"}}};
        response.stream = [](sterna::Writer&) {};
        return response;
    """)  # fmt: skip
    answer = server.call("nothing")
    assert answer.status_code == 204 and answer.headers["x-a"] == "1" and answer.content == b""


@pytest.mark.parametrize("name", ["Content-type", "CONTENT-TYPE"])
def test_a_content_type_is_one_in_any_spelling(server, name):
    deploy(server, "typed", f'return {{200, "x", {{{{"{name}", "text/html"}}}}, {{}}}};')
    assert server.call("typed").headers.get_list("content-type") == ["text/html"]
    server.request("DELETE", "/spaces/default/functions/typed")


@pytest.mark.parametrize("status, header", [(99, ""), (700, ""), (200, "a\\r\\nSet-Cookie: x")])
def test_answers_that_cannot_be_used(server, status, header):
    headers = f'{{{{"X-A", "{header}"}}}}' if header else "{}"
    deploy(server, "wrong", f'return {{{status}, "x", {headers}, {{}}}};')
    problem_of(server.call("wrong"), 502, "bad_function_response", "function")
    server.request("DELETE", "/spaces/default/functions/wrong")


def test_a_crash_is_told_and_the_next_call_works(server):
    deploy(server, "crash", 'if (request.path == "/now") std::abort(); return sterna::text("well");')
    problem_of(server.call("crash", "/now"), 502, "worker_died", "function")
    assert eventually(lambda: server.call("crash")).text == "well"


def test_logs_of_many_calls_in_threads(server):
    deploy(server, "threads", """
        std::cout << "one " << request.query << std::endl;
        std::fprintf(stderr, "two %s\\n", std::string(request.query).c_str());
        return sterna::text("well");
    """, limits={"concurrency": 8})  # fmt: skip
    answers = {number: server.call("threads", f"/?{number}") for number in range(20)}
    for number, answer in answers.items():
        eventually(lambda: set(texts_of(server, "threads", answer)) == {f"one {number}", f"two {number}"})


def test_other_threads_of_a_handler_may_ask_whether_the_caller_is_gone(server):
    deploy(server, "watched", """
        const sterna::Request* const asked = &request;
        sterna::Response response;
        response.stream = [asked](sterna::Writer& writer) {
          std::atomic<bool> done{false};
          std::thread watch([&] {
            while (!done && !asked->cancelled()) std::this_thread::sleep_for(std::chrono::microseconds(200));
          });
          for (int i = 0; i < 3000 && writer.write(std::string(1000, 't')); ++i) {}
          done = true;
          watch.join();
        };
        return response;
    """, limits={"timeout_seconds": 20})  # fmt: skip
    for _ in range(3):
        answer = server.call("watched")
        assert answer.status_code == 200 and len(answer.content) == 3_000_000


def test_several_threads_of_a_handler_may_write(server):
    deploy(server, "written", """
        sterna::Response response;
        response.stream = [](sterna::Writer& writer) {
          writer.start();
          std::vector<std::thread> threads;
          for (const char letter : {'a', 'b', 'c'}) {
            threads.emplace_back([&writer, letter] {
              for (int i = 0; i < 1000 && writer.write(std::string(1000, letter)); ++i) {}
            });
          }
          for (std::thread& each : threads) each.join();
        };
        return response;
    """, limits={"timeout_seconds": 20})  # fmt: skip
    answer = server.call("written")
    assert [answer.content.count(letter) for letter in (b"a", b"b", b"c")] == [1_000_000] * 3


def test_a_line_that_is_printed_in_parts_is_of_its_call_alone(server):
    deploy(server, "parts-of-lines", """
        static std::atomic<int> arrived{0};
        std::printf("begin %s, ", std::string(request.query).c_str());
        ++arrived;
        while (arrived < 2 && !request.cancelled()) std::this_thread::yield();
        std::printf("end %s\\n", std::string(request.query).c_str());
        return sterna::text("well");
    """, limits={"max_replicas": 1, "concurrency": 2, "timeout_seconds": 20})  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip("ab", pool.map(lambda who: server.call("parts-of-lines", f"/?{who}"), "ab")))
    for who, answer in answers.items():
        eventually(lambda: texts_of(server, "parts-of-lines", answer) == [f"begin {who}, end {who}"])


def test_an_exception_without_a_text_is_a_failure(server):
    deploy(server, "textless", """
        struct Silent : std::exception { const char* what() const noexcept override { return nullptr; } };
        throw Silent();
    """)  # fmt: skip
    problem_of(server.call("textless"), 500, "function_raised", "function")


@pytest.mark.parametrize(
    "source, told",
    [
        ("#include <sterna/function.h>\n", "handler.cc defines no `sterna::Response handle(const sterna::Request& request)`"),
        ("int unrelated = 1;\n", "handler.so was not made with this version of <sterna/function.h>"),
    ],
)  # fmt: skip
def test_a_library_without_a_handler_says_what_to_do(server, source, told):
    name = "without-handle" if "sterna" in source else "without-header"
    server.deploy(name, {"handler.cc": source}, template="cpp", wait_for="Failed")
    assert told in server.get(name)["status_reason"]


def test_what_is_no_library_is_told(server):
    server.deploy("text", {"handler.so": "not a library"}, template="cpp", wait_for="Failed")
    assert "handler.so" in server.get("text")["status_reason"]
