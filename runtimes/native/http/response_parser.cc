#include "native/http/response_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <utility>

#include "wire/messages.h"

namespace sterna::native {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t kMaxHeadBytes = 64U << 10;
constexpr std::size_t kMaxPending = 2 * kMaxHeadBytes;  // a head or chunk line that is not whole

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

std::unexpected<Error> bad_http(const error_code& ec) {
  return fail(Code::kInvalid, Component::kFunction, "bad_http", ec.message());
}

bool goes_on(const error_code& ec) {
  return !ec || ec == http::error::need_more;
}

}  // namespace

class ResponseParser::Impl final : public http::basic_parser<false> {
 public:
  std::uint32_t status = 0;
  std::uint32_t count = 0;
  std::string block;
  std::string body;

 private:
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int, error_code&) override {}
  void on_response_impl(int code, beast::string_view, int, error_code&) override {
    status = static_cast<std::uint32_t>(code);
  }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value, error_code&) override {
    if (is_header_done()) return;  // trailers are dropped
    ++count;
    wire::append_header(block, view(name), view(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view part, error_code&) override {
    body.append(part.data(), part.size());
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view part, error_code& ec) override {
    return on_body_impl(part, ec);
  }
  void on_finish_impl(error_code&) override {}
};

ResponseParser::ResponseParser() {
  begin();
}
ResponseParser::~ResponseParser() = default;

void ResponseParser::begin() {
  impl_ = std::make_unique<Impl>();
  impl_->eager(true);
  impl_->header_limit(kMaxHeadBytes);
  impl_->body_limit(boost::none);
}

Status ResponseParser::feed(std::string_view bytes) {
  fed_ = fed_ || !bytes.empty();
  std::string joined;
  if (!pending_.empty()) bytes = joined = std::exchange(pending_, {}).append(bytes);
  while (!bytes.empty() && !done()) {
    error_code ec;
    const std::size_t used = impl_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
    bytes.remove_prefix(used);
    if (!goes_on(ec)) return bad_http(ec);
    if (impl_->is_header_done() && impl_->status < 200) {
      if (impl_->status == 101) {
        return fail(Code::kInvalid, Component::kFunction, "bad_http",
                    "it switches protocols, which nobody asked for");
      }
      begin();
    } else if (used == 0) {
      break;
    }
  }
  if (bytes.size() > kMaxPending) return bad_http(http::error::header_limit);
  pending_ = bytes;
  return {};
}

Status ResponseParser::end() {
  error_code ec;
  impl_->put_eof(ec);
  if (ec) return bad_http(ec);
  return {};
}

bool ResponseParser::head_complete() const {
  return impl_->is_header_done();
}
bool ResponseParser::done() const {
  return impl_->is_done();
}
bool ResponseParser::keep_alive() const {
  return impl_->keep_alive() && pending_.empty();
}
std::uint32_t ResponseParser::status() const {
  return impl_->status;
}
std::uint32_t ResponseParser::header_count() const {
  return impl_->count;
}
const std::string& ResponseParser::headers() const {
  return impl_->block;
}
std::optional<std::uint64_t> ResponseParser::content_length() const {
  const auto length = impl_->content_length();
  return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}
std::string ResponseParser::take_body() {
  return std::exchange(impl_->body, {});
}

}  // namespace sterna::native
