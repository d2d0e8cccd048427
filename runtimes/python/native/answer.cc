#include "answer.h"

#include <algorithm>
#include <array>
#include <string>

#include "wire/messages.h"

namespace sterna::python {
namespace {

struct Names {
  PyObject* status_code;
  PyObject* statusCode;
  PyObject* body;
  PyObject* headers;
  PyObject* json_encode;
};
Names names{};

constexpr std::string_view kTextType = "text/plain; charset=utf-8";
constexpr std::string_view kBytesType = "application/octet-stream";
constexpr std::string_view kJsonType = "application/json";

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (const char byte :
       std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    table[static_cast<unsigned char>(byte)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kIsToken = make_token_table();

bool is_token(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](char byte) { return kIsToken[static_cast<unsigned char>(byte)]; });
}

// Printable ASCII without spaces at the ends; whatever else may be allowed is left to the slow way.
bool is_plain_value(std::string_view value) {
  if (value.empty()) return true;
  return value.front() != ' ' && value.back() != ' ' &&
         std::ranges::all_of(value, [](char byte) { return byte >= 0x20 && byte < 0x7f; });
}

bool equals_ignoring_case(std::string_view name, std::string_view lower) {
  return std::ranges::equal(name, lower, [](char one, char other) {
    return (one >= 'A' && one <= 'Z' ? static_cast<char>(one - 'A' + 'a') : one) == other;
  });
}

struct HeaderBlock {
  std::string bytes;
  std::uint32_t count = 0;
  bool has_content_type = false;

  void clear() {
    bytes.clear();
    count = 0;
    has_content_type = false;
  }
  void add(std::string_view name, std::string_view value) {
    wire::append_header(bytes, name, value);
    ++count;
  }
};

// False: the headers are not a plain dict of plain str.
bool add_headers(HeaderBlock& block, PyObject* headers) {
  if (headers == nullptr || headers == Py_None) return true;
  if (!PyDict_CheckExact(headers)) return false;
  PyObject* key = nullptr;
  PyObject* item = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(headers, &at, &key, &item) != 0;) {
    if (!PyUnicode_CheckExact(key) || !PyUnicode_CheckExact(item)) return false;
    const auto name = view_of(key);
    const auto value = view_of(item);
    if (!name || !value || !is_token(*name) || !is_plain_value(*value)) return false;
    if (equals_ignoring_case(*name, "content-length")) continue;  // the body says how long it is
    block.has_content_type = block.has_content_type || equals_ignoring_case(*name, "content-type");
    block.add(*name, *value);
  }
  return block.bytes.size() <= wire::kMaxHeaderBytes;
}

struct Body {
  std::string_view bytes;
  std::string_view content_type;
  Ref owner;  // keeps encoded JSON alive
};

// False: not one of the common types.
bool read_body(Body& body, PyObject* object) {
  if (object == nullptr || object == Py_None) return true;
  if (PyDict_CheckExact(object) || PyList_CheckExact(object)) {
    body.owner.reset(PyObject_CallFunctionObjArgs(names.json_encode, object, nullptr));
    if (!body.owner) {
      PyErr_Clear();
      return false;
    }
    body.content_type = kJsonType;
    object = body.owner.get();
  } else if (PyUnicode_CheckExact(object)) {
    body.content_type = kTextType;
  } else if (PyBytes_CheckExact(object)) {
    body.content_type = kBytesType;
  } else {
    return false;
  }
  const auto bytes = view_of(object);
  if (bytes) body.bytes = *bytes;
  return bytes.has_value() && bytes->size() <= wire::kInitialWindow;
}

// False: not a plain int within 200 to 599.
bool read_status(std::uint32_t& status, PyObject* object) {
  if (object == nullptr) return true;
  if (!PyLong_CheckExact(object)) return false;
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(object, &overflow);
  if (overflow != 0 || value < 200 || value > 599) return false;
  status = static_cast<std::uint32_t>(value);
  return true;
}

PyObject* find(PyObject* dict, PyObject* key) {
  return PyDict_GetItemWithError(dict, key);
}

void append_response(Channel& channel, CallId id, const wire::ResponseHead& head, std::string_view body) {
  std::string& out = channel.out();
  channel.lines().end_call(out, id.call);
  const std::size_t offset =
      wire::open_frame(out, wire::FrameType::kResponse, wire::More::kNo, id.slot, id.call);
  wire::append_response(out, head, body);
  wire::close_frame(out, offset);
}

bool try_write(Channel& channel, CallId id, std::uint64_t run_ns, PyObject* answer) {
  if (!PyDict_CheckExact(answer)) return false;
  wire::ResponseHead head{.status = 200, .run_ns = run_ns, .headers = {}};
  PyObject* status = find(answer, names.status_code);
  if (status == nullptr) status = find(answer, names.statusCode);
  if (!read_status(head.status, status)) return false;

  const Ref body_object = borrow(find(answer, names.body));
  Body body;
  if (!read_body(body, body_object.get())) return false;

  static HeaderBlock block;  // guarded by the GIL, which nothing below gives up
  block.clear();
  PyObject* const headers = find(answer, names.headers);
  if (status == nullptr && !body_object && headers == nullptr) return false;
  if (!add_headers(block, headers)) return false;
  if (!block.has_content_type && !body.content_type.empty()) block.add("Content-Type", body.content_type);
  head.content_length = body.bytes.size();
  head.header_count = block.count;
  head.headers = block.bytes;
  append_response(channel, id, head, body.bytes);
  return true;
}

}  // namespace

bool set_up_answers(PyObject* json_encode) {
  if (names.body == nullptr) {
    names.status_code = PyUnicode_InternFromString("status_code");
    names.statusCode = PyUnicode_InternFromString("statusCode");
    names.headers = PyUnicode_InternFromString("headers");
    names.body = PyUnicode_InternFromString("body");
  }
  Ref old(std::exchange(names.json_encode, borrow(json_encode).release()));
  return names.status_code != nullptr && names.statusCode != nullptr && names.headers != nullptr &&
         names.body != nullptr;
}

bool write_common_answer(Channel& channel, CallId id, std::uint64_t run_ns, PyObject* answer) {
  if (try_write(channel, id, run_ns, answer)) return true;
  PyErr_Clear();
  return false;
}

}  // namespace sterna::python
