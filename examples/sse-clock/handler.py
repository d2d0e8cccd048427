"""Sends the time as server-sent events, one as each interval passes: an async generator as the body streams.

    curl -N 'http://127.0.0.1:8080/spaces/default/functions/sse-clock/invoke?count=5&interval=1'

In a page: new EventSource(url).addEventListener("tick", event => console.log(event.data)). A client that comes back
sends Last-Event-ID, and the count goes on from there.
"""

import asyncio
import json
from datetime import datetime, timezone

MAX_COUNT = 600
MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS = 0.01, 60.0


async def handle(req):
    try:
        count = int(req.query.get("count", "10"))
        interval = float(req.query.get("interval", "1"))
        seen = int(req.headers.get("Last-Event-ID", "0"))
    except ValueError:
        return {"status_code": 400, "body": {"error": "count, interval and Last-Event-ID must be numbers"}}
    if not (0 <= count <= MAX_COUNT and MIN_INTERVAL_SECONDS <= interval <= MAX_INTERVAL_SECONDS):
        return {
            "status_code": 400,
            "body": {"error": f"at most {MAX_COUNT} events, 0.01 to 60 seconds apart"},
        }
    return {
        "headers": {"content-type": "text/event-stream", "cache-control": "no-store"},
        "body": ticks(seen + 1, count, interval),
    }


async def ticks(first, last, interval):
    for number in range(first, last + 1):
        data = json.dumps(
            {"number": number, "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
        )
        yield f"id: {number}\nevent: tick\ndata: {data}\n\n"
        if number < last:
            await asyncio.sleep(interval)
