// Checks a submitted form and says what is wrong with it, field by field; JavaScript.
//
//     curl -d 'name=Ada&email=ada@example.com&message=Hello+there' http://127.0.0.1:8080/spaces/default/functions/form-check/invoke
"use strict";

const { randomUUID } = require("node:crypto");

const MAX_MESSAGE = Number(process.env.MAX_MESSAGE ?? 2000);

const rules = {
  name: (text) => (text.trim() === "" ? "is missing" : null),
  email: (text) => (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text) ? null : "is not an address"),
  message: (text) =>
    text.trim() === "" ? "is missing" : text.length > MAX_MESSAGE ? `is longer than ${MAX_MESSAGE} characters` : null,
};

function readForm(req) {
  const type = req.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) return new Map(Object.entries(req.json()));
  return new Map(new URLSearchParams(req.text()));
}

exports.handle = async (req) => {
  if (req.method !== "POST") return new Response("send a form with POST\n", { status: 405, headers: { Allow: "POST" } });
  const form = readForm(req);
  const errors = {};
  for (const [field, check] of Object.entries(rules)) {
    const wrong = check(String(form.get(field) ?? ""));
    if (wrong !== null) errors[field] = wrong;
  }
  if (Object.keys(errors).length > 0) return Response.json({ errors }, { status: 422 });
  const id = randomUUID();
  console.log("accepted %s from %s", id, form.get("email"));
  return Response.json({ id }, { status: 201 });
};
