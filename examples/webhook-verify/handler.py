"""Checks a webhook's signature before anything else looks at it: Standard Webhooks, or GitHub's header.

    secret=whsec_c3Rlcm5hLWV4YW1wbGUtc2VjcmV0LWNoYW5nZS1tZQ==; id=msg_1; now=$(date +%s); body='{"event":"paid"}'
    key=$(printf %s "${secret#whsec_}" | base64 -d | xxd -p -c 99)
    signature=$(printf %s "$id.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
    curl -d "$body" -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature" \\
        http://127.0.0.1:8080/spaces/default/functions/webhook-verify/invoke

WEBHOOK_SECRET (in `env`) is the sender's secret. Standard Webhooks secrets begin with `whsec_`; for GitHub it is the
text that was typed into its form. 401 when nothing valid signs the body, 400 when headers are missing.
"""

import base64
import binascii
import hashlib
import hmac
import os
import time

SECRET = os.environ["WEBHOOK_SECRET"]
TOLERANCE_SECONDS = int(os.environ.get("TOLERANCE_SECONDS", "300"))


def handle(req):
    if "webhook-signature" in req.headers:
        fault = standard_webhooks_fault(req.headers, req.body)
    elif "X-Hub-Signature-256" in req.headers:
        fault = github_fault(req.headers, req.body)
    else:
        fault = (400, "no signature: webhook-signature or X-Hub-Signature-256 is needed")
    if fault:
        status, text = fault
        print(f"refused: {text}")
        return {"status_code": status, "body": {"verified": False, "error": text}}
    # From here on the body is the sender's: work on it.
    return {"body": {"verified": True, "bytes": len(req.body)}}


def standard_webhooks_fault(headers, body):
    """https://www.standardwebhooks.com: several signatures may be given while the sender changes its secret."""
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdigit()):
        return 400, "webhook-id and webhook-timestamp are needed"
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return 401, "the timestamp is too old or too new"
    try:
        key = base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise RuntimeError("WEBHOOK_SECRET is not a Standard Webhooks secret") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = headers["webhook-signature"].encode().split()
    if not any([hmac.compare_digest(expected, each) for each in given]):
        return 401, "the signature does not fit the body"
    return None


def github_fault(headers, body):
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), headers["X-Hub-Signature-256"].encode()):
        return 401, "the signature does not fit the body"
    return None
