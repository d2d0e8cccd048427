#include "net/http_parser.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace sterna::net {
namespace {

constexpr CharSet kNoHostChars(" \t/\\?#@,");
// More than anybody needs, and few enough to be looked at.
constexpr std::size_t kMaxConnectionNames = 100;

std::unexpected<Error> bad_request(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_request", std::move(detail));
}

// Origin-form, absolute-form, or the asterisk of OPTIONS (RFC 9112 3.2); CONNECT is not for us.
bool is_target(std::string_view target, std::string_view method) {
  return target.starts_with('/') || (target == "*" && method == "OPTIONS") || absolute_target(target);
}

// Cuts the first line off `head`.
Status take_request_line(std::string_view& head, HttpRequest& request) {
  const std::size_t end = head.find("\r\n");
  const std::string_view line = head.substr(0, end);
  const std::size_t method_end = line.find(' ');
  const std::size_t version = line.rfind(' ');
  if (end == std::string_view::npos || version == method_end || !is_token(line.substr(0, method_end)))
    return bad_request("the request line is not: method, space, target, space, version");
  request.method = line.substr(0, method_end);
  request.target = line.substr(method_end + 1, version - method_end - 1);
  if (!is_visible(request.target) || !is_target(request.target, request.method))
    return bad_request("the request target must be a path, such as /healthz");
  const std::string_view protocol = line.substr(version + 1);
  if (protocol != "HTTP/1.1" && protocol != "HTTP/1.0")
    return bad_request("the request is in no version of HTTP that is spoken here, which is HTTP/1.1");
  request.minor_version = protocol.back() - '0';
  head.remove_prefix(end + 2);
  return {};
}

// What of the headers is about the message itself.
struct Framing {
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  ConnectionOptions connection;
};

Status note_length(std::string_view value, HttpRequest& request) {
  request.content_length = content_length(value);
  if (!request.content_length) return bad_request("Content-Length is not one number");
  return {};
}

Status note(const Header& header, Framing& framing, HttpRequest& request) {
  switch (header.known) {
    case KnownHeader::kHost:
      ++framing.hosts;
      if (!is_host(header.value)) return bad_request("the Host header names no host");
      return {};
    case KnownHeader::kContentLength:
      ++framing.lengths;
      return note_length(header.value, request);
    case KnownHeader::kTransferEncoding:
      ++framing.encodings;
      if (!equal_ignoring_case(header.value, "chunked"))
        return bad_request("only Transfer-Encoding: chunked is accepted");
      if (request.minor_version == 0) return bad_request("Transfer-Encoding is not part of HTTP/1.0");
      request.chunked = true;
      return {};
    case KnownHeader::kConnection:
      if (!read_connection(header.value, framing.connection))
        return bad_request("the Connection header is no list of names");
      if (framing.connection.names > kMaxConnectionNames)
        return bad_request("the Connection headers list more than 100 names");
      return {};
    case KnownHeader::kExpect:
      if (!equal_ignoring_case(header.value, "100-continue")) {
        return fail(Code::kInvalid, Component::kGateway, "expectation_failed",
                    "only Expect: 100-continue is known");
      }
      request.expects_continue = request.minor_version == 1;
      return {};
    default:
      return {};
  }
}

// RFC 9112 3.2.2: the host of a target in absolute-form stands in the place of what Host says.
Status take_host_of_target(HttpRequest& request) {
  const auto target = absolute_target(request.target);
  if (!target) return {};
  if (target->authority.empty() || !is_host(target->authority))
    return bad_request("the request target names no host");
  const auto host = std::ranges::find(request.headers, KnownHeader::kHost, &Header::known);
  if (host != request.headers.end()) {
    host->value = target->authority;
  } else {
    request.headers.emplace_back("Host", target->authority);
  }
  return {};
}

}  // namespace

std::optional<AbsoluteTarget> absolute_target(std::string_view target) {
  if (target.starts_with('/')) return std::nullopt;
  constexpr std::string_view kMark = "://";
  const std::size_t mark = target.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view scheme = target.substr(0, mark);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return std::nullopt;
  const std::string_view behind = target.substr(mark + kMark.size());
  const std::size_t end = std::min(behind.find_first_of("/?#"), behind.size());
  return AbsoluteTarget{.authority = behind.substr(0, end), .rest = behind.substr(end)};
}

bool is_host(std::string_view value) {
  return std::ranges::none_of(value, [](char c) { return kNoHostChars.has(c); });
}

void HttpRequest::clear() {
  std::vector<Header> kept = std::move(headers);
  kept.clear();
  *this = {};
  headers = std::move(kept);
}

const std::string_view* HttpRequest::find(KnownHeader known) const {
  const auto found = std::ranges::find(headers, known, &Header::known);
  return found == headers.end() ? nullptr : &found->value;
}

const std::string_view* HttpRequest::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const Header& header) { return equal_ignoring_case(header.name, name); });
  return found == headers.end() ? nullptr : &found->value;
}

Result<std::size_t> find_head(std::string_view data, std::size_t& scanned) {
  const std::size_t news = scanned;
  while (scanned < data.size()) {
    const std::size_t line_end = data.find('\n', scanned);
    if (line_end == std::string_view::npos) break;  // the line is looked at again when it is whole
    if (line_end == scanned || data[line_end - 1] != '\r')
      return bad_request("a line of the request head ends without CR LF");
    if (scanned > 0 && (data[scanned] == ' ' || data[scanned] == '\t'))
      return bad_request("folded header lines (obs-fold) are not accepted");
    const bool is_empty = line_end == scanned + 1;
    scanned = line_end + 1;
    if (is_empty) return scanned;
  }
  if (data.find('\0', news) != std::string_view::npos)
    return bad_request("the request head holds a NUL byte");
  return 0;
}

Status HttpParser::parse_head(std::string_view head, HttpRequest& request) {
  complete_ = false;
  if (Status taken = take_request_line(head, request); !taken) return taken;
  Framing framing;
  while (head != "\r\n") {
    const auto header = take_header(head);
    if (!header)
      return bad_request("a line of the request head is not: name, colon, value without control characters");
    if (Status noted = note(*header, framing, request); !noted) return noted;
    request.headers.push_back(*header);
  }
  if (framing.hosts > 1 || (framing.hosts == 0 && request.minor_version == 1))
    return bad_request("a request must have exactly one Host header");
  if (Status taken = take_host_of_target(request); !taken) return taken;
  if (framing.lengths + framing.encodings > 1)
    return bad_request("a request must say at most once how long its body is");
  const ConnectionOptions& connection = framing.connection;
  request.keep_alive = !connection.close && (request.minor_version == 1 || connection.keep_alive);
  left_ = request.content_length.value_or(0);
  complete_ = left_ == 0 && !request.chunked;
  chunks_.reset();
  if (request.chunked) chunks_.emplace(max_header_bytes_);
  return {};
}

Result<std::size_t> HttpParser::parse_body(std::string_view data, BodySink& sink) {
  if (chunks_) {
    auto used = chunks_->feed(data, sink);
    complete_ = chunks_->complete();
    return used;
  }
  const auto used = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), left_));
  left_ -= used;
  complete_ = left_ == 0;
  if (used > 0) sink.on_body_part(data.substr(0, used));
  return used;
}

}  // namespace sterna::net
