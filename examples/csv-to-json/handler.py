"""Turns CSV into JSON: an object for each line, named by the first.

    curl --data-binary $'city;people\\nMainz;222000\\n' \\
        'http://127.0.0.1:8080/spaces/default/functions/csv-to-json/invoke?delimiter=;'

`delimiter` is found by itself when it is not given. With `Accept: application/x-ndjson` the answer is one object
a line, streamed. Numbers stay text unless `?numbers=true`. 422 names the line that does not fit.
"""

import csv
import io
import json

DELIMITERS = ",;\t|"


def handle(req):
    try:
        text = req.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return problem(415, "the body must be CSV in UTF-8")
    delimiter = req.query.get("delimiter") or likely_delimiter(text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        return problem(400, "delimiter must be one character")
    try:
        rows = list(read(text, delimiter, convert=to_number if req.query.get("numbers") == "true" else str))
    except (csv.Error, ValueError) as error:
        return problem(422, str(error))
    if "application/x-ndjson" in req.headers.get("Accept", ""):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return {"headers": {"content-type": "application/x-ndjson"}, "body": lines}
    return {"body": rows}


def likely_delimiter(text):
    first_line = text.partition("\n")[0]
    return max(DELIMITERS, key=first_line.count)


def read(text, delimiter, convert):
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = next(lines, None)
    if not names:
        raise ValueError("line 1: no column names")
    if len(set(names)) < len(names):
        raise ValueError("line 1: a column name is there twice")
    for values in lines:
        if not values:
            continue
        if len(values) != len(names):
            raise ValueError(f"line {lines.line_num}: {len(values)} values for {len(names)} columns")
        yield {name: convert(value) for name, value in zip(names, values)}


def to_number(text):
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        # JSON knows neither nan nor infinity.
        return number if number - number == 0 else text
    return text


def problem(status, text):
    return {"status_code": status, "body": {"error": text}}
