#include "native/http/request_text.h"

#include "native/request_parts.h"
#include "net/hop_by_hop.h"

namespace sterna::native {
namespace {

bool expects_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

std::string request_head(const wire::RequestHead& request, std::optional<std::uint64_t> body_bytes) {
  std::string out;
  out.reserve(256 + request.headers.size() + 2 * request.path.size());
  out.append(request.method).append(" ");
  append_encoded_path(out, request.path);
  if (!request.query.empty()) out.append("?").append(request.query);
  out.append(" HTTP/1.1\r\n");
  const net::HopByHop always;  // the gateway has taken away what the request's own Connection headers list
  bool has_host = false;
  wire::HeaderWalk walk(request.headers, request.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    const net::Header header(name, value);
    if (header.known == net::KnownHeader::kContentLength || always.includes(header)) continue;
    has_host = has_host || header.known == net::KnownHeader::kHost;
    out.append(name).append(": ").append(value).append("\r\n");
  }
  if (!has_host) out.append("Host: localhost\r\n");
  if (!body_bytes) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (*body_bytes > 0 || expects_body(request.method)) {
    out.append("Content-Length: ").append(std::to_string(*body_bytes)).append("\r\n");
  }
  return out.append("\r\n");
}

}  // namespace sterna::native
