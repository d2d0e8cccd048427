#include "net/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>

namespace sterna::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

std::unexpected<Error> bad_request(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_request", std::move(detail));
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// Origin-form, absolute-form, or the asterisk of OPTIONS (RFC 9112 3.2); CONNECT is not for us.
bool is_target(std::string_view target, std::string_view method) {
  return target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://") ||
         (target == "*" && method == "OPTIONS");
}

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void HttpRequest::clear() {
  std::vector<Header> kept = std::move(headers);
  kept.clear();
  *this = {};
  headers = std::move(kept);
}

const std::string_view* HttpRequest::find(std::string_view name) const {
  for (const Header& header : headers) {
    if (equal_ignoring_case(header.name, name)) return &header.value;
  }
  return nullptr;
}

Result<std::size_t> find_head(std::string_view data, std::size_t& scanned) {
  while (scanned < data.size()) {
    const void* found = std::memchr(data.data() + scanned, '\n', data.size() - scanned);
    const std::size_t line_end =
        found == nullptr ? data.size()
                         : static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    const std::string_view line = data.substr(scanned, line_end - scanned);
    if (line.find('\0') != std::string_view::npos) return bad_request("the request head holds a NUL byte");
    if (found == nullptr) return 0;  // the line is looked at again when it is whole
    if (line.empty() || line.back() != '\r')
      return bad_request("a line of the request head ends without CR LF");
    if (line.find('\r') != line.size() - 1) return bad_request("a line of the request head holds a bare CR");
    if (scanned > 0 && (line.front() == ' ' || line.front() == '\t')) {
      return bad_request("folded header lines (obs-fold) are not accepted");
    }
    scanned = line_end + 1;
    if (line.size() == 1) return scanned;
  }
  return 0;
}

class HttpParser::Impl final : public http::basic_parser<true> {
 public:
  HttpRequest* request = nullptr;  // while the head is parsed
  BodySink* sink = nullptr;        // while the body is parsed

 private:
  void on_request_impl(http::verb, beast::string_view method, beast::string_view target, int version,
                       error_code&) override {
    request->method = view(method);
    request->target = view(target);
    request->minor_version = version % 10;
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_field_impl(http::field, beast::string_view name, beast::string_view value, error_code&) override {
    const Header field{view(name), view(value)};
    if (request != nullptr) {
      request->headers.push_back(field);
    } else if (sink != nullptr) {
      sink->on_trailer(field);
    }
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view part, error_code&) override {
    sink->on_body_part(view(part));
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view part, error_code&) override {
    sink->on_body_part(view(part));
    return part.size();
  }
  void on_finish_impl(error_code&) override {}
};

HttpParser::HttpParser(std::size_t max_header_bytes) : max_header_bytes_(max_header_bytes) {}
HttpParser::~HttpParser() = default;

Status HttpParser::parse_head(std::string_view head, HttpRequest& request) {
  if (impl_) {  // Beast's parsers take one message: a new one in the same place
    std::destroy_at(impl_.get());
    std::construct_at(impl_.get());
  } else {
    impl_ = std::make_unique<Impl>();
  }
  impl_->header_limit(static_cast<std::uint32_t>(max_header_bytes_ + 1024));
  impl_->body_limit(boost::none);  // the connection counts, so that it can answer 413
  impl_->request = &request;
  error_code ec;
  impl_->put(boost::asio::const_buffer(head.data(), head.size()), ec);
  impl_->request = nullptr;
  if (ec && ec != http::error::need_more)
    return bad_request("the request head is malformed: " + ec.message());

  if (!is_target(request.target, request.method))
    return bad_request("the request target must be a path, such as /healthz");
  request.keep_alive = impl_->keep_alive();
  request.chunked = impl_->chunked();
  request.content_length.reset();
  if (const auto length = impl_->content_length()) request.content_length = *length;
  int hosts = 0;
  for (const Header& header : request.headers) {
    if (equal_ignoring_case(header.name, "host")) {
      ++hosts;
      if (header.value.find_first_of(" \t/\\?#@,") != std::string_view::npos)
        return bad_request("the Host header names no host");
    }
    if (equal_ignoring_case(header.name, "transfer-encoding")) {
      if (!equal_ignoring_case(header.value, "chunked"))
        return bad_request("only Transfer-Encoding: chunked is accepted");
      if (request.minor_version == 0) return bad_request("Transfer-Encoding is not part of HTTP/1.0");
    }
    if (equal_ignoring_case(header.name, "expect")) {
      if (!equal_ignoring_case(header.value, "100-continue")) {
        return fail(Code::kInvalid, Component::kGateway, "expectation_failed",
                    "only Expect: 100-continue is known");
      }
      request.expects_continue = request.minor_version == 1;
    }
  }
  if (hosts > 1 || (hosts == 0 && request.minor_version == 1)) {
    return bad_request("a request must have exactly one Host header");
  }
  return {};
}

Result<std::size_t> HttpParser::parse_body(std::string_view data, BodySink& sink) {
  impl_->sink = &sink;
  std::size_t used = 0;
  while (used < data.size() && !impl_->is_done()) {
    error_code ec;
    const std::size_t step =
        impl_->put(boost::asio::const_buffer(data.data() + used, data.size() - used), ec);
    used += step;
    if (ec == http::error::need_more || (!ec && step == 0)) break;
    if (ec) return bad_request("the request body is malformed: " + ec.message());
  }
  return used;
}

bool HttpParser::complete() const {
  return impl_ && impl_->is_done();
}

}  // namespace sterna::net
