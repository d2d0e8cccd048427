#include "pool/response_check.h"

#include "net/http_text.h"

namespace sterna::pool {

std::string check_response(const wire::ResponseHead& head) {
  if (head.status < 200 || head.status > 599) return "the status code is not between 200 and 599";
  if (head.headers.size() > wire::kMaxHeaderBytes) return "the headers are larger than 64 KiB";
  wire::HeaderWalk walk(head.headers, head.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (!net::is_token(name)) return "a header's name is not a token";
    if (!net::is_field_value(value))
      return "the value of header " + std::string(name) + " holds control characters";
  }
  return walk.ok() ? "" : "the headers are malformed";
}

bool count_body(std::uint64_t& left, std::size_t bytes, wire::More more) {
  if (left == wire::kUnknownLength) return true;
  if (bytes > left) return false;
  left -= bytes;
  return more == wire::More::kYes || left == 0;
}

}  // namespace sterna::pool
