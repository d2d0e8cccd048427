"""Fetches several URLs at the same time and answers with one summary.

    curl -d '{"urls": ["https://example.com/", "https://www.debian.org/"], "timeout_seconds": 3}' \\
        http://127.0.0.1:8080/spaces/default/functions/fan-out/invoke

A slow or broken address costs only its own line of the summary: each fetch has the deadline, all run beside each
other. From a sandbox with network `egress` the machine's own loopback cannot be reached.
"""

import asyncio
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

MAX_URLS = 16
MAX_TIMEOUT_SECONDS = 20
MAX_BYTES_EACH = 1 << 20

# urllib blocks, so that each fetch has a thread; they are started when first used.
threads = ThreadPoolExecutor(max_workers=2 * MAX_URLS)


async def handle(req):
    try:
        order = json.loads(req.body)
        urls, timeout = order["urls"], float(order.get("timeout_seconds", 5))
        if not 1 <= len(urls) <= MAX_URLS or not all(is_http(url) for url in urls):
            raise ValueError
        if not 0 < timeout <= MAX_TIMEOUT_SECONDS:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        error = f"send urls (1 to {MAX_URLS}, http or https) and timeout_seconds (up to {MAX_TIMEOUT_SECONDS})"
        return {"status_code": 400, "body": {"error": error}}

    began = time.monotonic()
    results = await asyncio.gather(*(fetch_within(url, timeout) for url in urls))
    return {
        "body": {
            "ok": sum("error" not in result for result in results),
            "failed": sum("error" in result for result in results),
            "seconds": round(time.monotonic() - began, 3),
            "results": results,
        }
    }


def is_http(url):
    return isinstance(url, str) and url.startswith(("http://", "https://"))


async def fetch_within(url, timeout):
    began = time.monotonic()
    try:
        # urllib's own timeout is for each read; the deadline is for the whole.
        work = asyncio.get_running_loop().run_in_executor(threads, fetch, url, timeout)
        result = await asyncio.wait_for(work, timeout)
    except (asyncio.TimeoutError, TimeoutError):  # one and the same since Python 3.11
        result = {"error": f"no answer within {timeout:g} s"}
    return {"url": url, **result, "seconds": round(time.monotonic() - began, 3)}


def fetch(url, timeout):
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return {"status": answer.status, "bytes": len(answer.read(MAX_BYTES_EACH))}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "error": error.reason}
    except (OSError, ValueError) as error:  # of urllib, of http.client, of an address that is none
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise reason from None
        return {"error": str(reason)}
