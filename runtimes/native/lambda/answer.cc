#include "native/lambda/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/base64.h"
#include "base/number.h"
#include "native/lambda/json_member.h"
#include "net/http_parser.h"
#include "wire/messages.h"
#include "worker/log_lines.h"

namespace sterna::native {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kDelimiter("\0\0\0\0\0\0\0\0", 8);
constexpr std::size_t kLargeAnswer = 64U << 10;
constexpr std::size_t kMaxPrelude = std::size_t{2} * wire::kMaxHeaderBytes;

std::unexpected<Error> bad_answer(std::string detail) {
  return fail(Code::kInvalid, Component::kFunction, "bad_answer", std::move(detail));
}

// API Gateway takes "200" for 200.
std::optional<std::int64_t> number_of(const Json& value) {
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_string()) return std::nullopt;
  return parse_number<std::int64_t>(value.get_ref<const std::string&>());
}

std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

bool is_length(std::string_view name) {
  return net::equal_ignoring_case(name, "content-length");
}

// An array repeats the header.
Status add_headers(AnswerHead& head, const Json& headers) {
  if (headers.is_null()) return {};
  if (!headers.is_object()) return bad_answer("headers must be an object of names and values");
  for (const auto& [name, value] : headers.items()) {
    if (is_length(name) || value.is_null()) continue;  // the server counts itself
    const Json::array_t one = {value.is_array() ? Json() : value};
    for (const Json& each : value.is_array() ? value.get_ref<const Json::array_t&>() : one) {
      const auto text = text_of(each);
      if (!text) return bad_answer("header " + name + " must be a string, or an array of strings");
      head.add(name, *text);
    }
  }
  return {};
}

Status add_cookies(AnswerHead& head, const Json& cookies) {
  if (cookies.is_null()) return {};
  if (!cookies.is_array() ||
      !std::ranges::all_of(cookies, [](const Json& each) { return each.is_string(); })) {
    return bad_answer("cookies must be an array of strings");
  }
  for (const Json& each : cookies) head.add("Set-Cookie", each.get_ref<const std::string&>());
  return {};
}

const Json& member(const Json& object, const char* name) {
  static const Json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

// What is longer is no RESPONSE.
Status check_size(const AnswerHead& head) {
  if (head.headers.size() <= wire::kMaxHeaderBytes) return {};
  return bad_answer("headers and cookies are larger than " + std::to_string(wire::kMaxHeaderBytes) +
                    " bytes");
}

Result<AnswerHead> head_of(const Json& object) {
  AnswerHead head;
  if (const Json& given = member(object, "statusCode"); !given.is_null()) {
    const auto status = number_of(given);
    if (!status || *status < 200 || *status > 599)
      return bad_answer("statusCode must be a number from 200 to 599");
    head.status = static_cast<std::uint32_t>(*status);
  }
  if (const Status added = add_headers(head, member(object, "headers")); !added)
    return std::unexpected(added.error());
  if (const Status added = add_cookies(head, member(object, "cookies")); !added)
    return std::unexpected(added.error());
  if (const Status small = check_size(head); !small) return std::unexpected(small.error());
  return head;
}

bool has_content_type(const AnswerHead& head) {
  wire::HeaderWalk walk(head.headers, head.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (net::equal_ignoring_case(name, "content-type")) return true;
  }
  return false;
}

Answer plain(std::string payload, std::string_view type) {
  Answer answer;
  answer.head.add("Content-Type", type);
  answer.body = std::move(payload);
  return answer;
}

Result<std::string> body_of(Json& object) {
  const auto found = object.find("body");
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) {
    return bad_answer(
        "body must be a string: give objects to JSON.stringify or its like, bytes as base64 with "
        "isBase64Encoded");
  }
  const Json& encoded = member(object, "isBase64Encoded");
  if (!encoded.is_null() && !encoded.is_boolean()) return bad_answer("isBase64Encoded must be true or false");
  auto& text = found->get_ref<std::string&>();
  if (encoded.is_null() || !encoded.get<bool>()) return std::move(text);
  auto bytes = api::base64_decode(text);
  if (!bytes) return bad_answer("isBase64Encoded is true, but the body is " + bytes.error().detail);
  return bytes;
}

// Large ones without their body first, which is put back as it is.
Json parse_object(std::string_view payload) {
  const auto body = payload.size() > kLargeAnswer ? find_string_member(payload, "body") : std::nullopt;
  if (!body) return Json::parse(payload, nullptr, false);
  const auto before = static_cast<std::size_t>(body->data() - payload.data());
  std::string rest(payload.substr(0, before));
  rest += payload.substr(before + body->size());
  Json object = Json::parse(rest, nullptr, false);
  auto text = unescape_json(*body);
  if (!object.is_object() || !text) return Json(Json::value_t::discarded);
  object["body"] = std::move(*text);
  return object;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

std::string headline(const ReportedError& error) {
  if (error.type.empty()) return error.message;
  return error.message.empty() ? error.type : error.type + ": " + error.message;
}

void append_trace(std::string& out, const Json& trace) {
  if (!trace.is_array()) return;
  for (const Json& line : trace) {
    const std::string text = text_of(line).value_or("");
    out.append(text).append(text.ends_with('\n') ? "" : "\n");
  }
}

}  // namespace

void AnswerHead::add(std::string_view name, std::string_view value) {
  wire::append_header(headers, name, value);
  ++header_count;
}

Result<Answer> read_answer(std::string payload) {
  const std::size_t first = payload.find_first_not_of(" \t\r\n");
  // Only an object is looked into; of everything else it matters only that it is JSON.
  if (first == std::string::npos || payload[first] != '{') {
    if (Json::accept(payload)) return plain(std::move(payload), "application/json");
    const bool is_text = worker::is_valid_utf8(payload);
    return plain(std::move(payload), is_text ? "text/plain; charset=utf-8" : "application/octet-stream");
  }
  Json object = parse_object(payload);
  if (object.is_discarded()) {
    const bool is_text = worker::is_valid_utf8(payload);
    return plain(std::move(payload), is_text ? "text/plain; charset=utf-8" : "application/octet-stream");
  }
  if (!object.contains("statusCode")) return plain(std::move(payload), "application/json");
  payload = {};
  auto head = head_of(object);
  if (!head) return std::unexpected(head.error());
  auto body = body_of(object);
  if (!body) return std::unexpected(body.error());
  if (!has_content_type(*head) && !body->empty()) head->add("Content-Type", "application/json");
  if (const Status small = check_size(*head); !small) return std::unexpected(small.error());
  return Answer{std::move(*head), std::move(*body)};
}

std::string ReportedError::summary() const {
  return std::string(first_line(headline(*this)));
}

std::string ReportedError::text() const {
  std::string head = headline(*this);
  if (trace.empty()) return head;
  return first_line(trace) == first_line(head) ? trace : head + "\n" + trace;
}

ReportedError read_error(std::string_view body, std::string_view type) {
  ReportedError error{.type = std::string(type), .message = {}, .trace = {}};
  const Json object = Json::parse(body, nullptr, false);
  if (!object.is_object()) {
    error.message = body;
    return error;
  }
  const Json& own_type = member(object, "errorType");
  if (own_type.is_string()) error.type = own_type.get<std::string>();
  const Json& message = member(object, "errorMessage");
  error.message = text_of(message).value_or("");
  append_trace(error.trace, member(object, object.contains("stackTrace") ? "stackTrace" : "trace"));
  return error;
}

Result<bool> Prelude::take(std::string_view& part) {
  const std::size_t seen = pending_.size();
  pending_.append(part.substr(0, kMaxPrelude));
  const std::size_t end =
      pending_.find(kDelimiter, seen < kDelimiter.size() ? 0 : seen - kDelimiter.size() + 1);
  if (end == std::string::npos) {
    if (pending_.size() < kMaxPrelude) return false;
    return bad_answer("the stream does not begin with JSON and 8 zero bytes, as its type says");
  }
  const Json object =
      Json::parse(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
  if (!object.is_object())
    return bad_answer("what stands before the stream's 8 zero bytes is no JSON object");
  auto head = head_of(object);
  if (!head) return std::unexpected(head.error());
  head_ = std::move(*head);
  part.remove_prefix(end + kDelimiter.size() - seen);
  pending_ = {};
  return true;
}

}  // namespace sterna::native
