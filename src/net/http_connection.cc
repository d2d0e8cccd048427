#include "net/http_connection.h"

namespace sterna::net {

Error body_too_large(std::uint64_t limit) {
  return {Code::kInvalid, Component::kGateway, "body_too_large",
          "the request body is larger than " + std::to_string(limit) + " bytes"};
}

Error head_too_large(std::string reason, std::size_t limit) {
  return {Code::kInvalid, Component::kGateway, std::move(reason),
          "the request head is larger than limits.max_header_bytes (" + std::to_string(limit) + ")"};
}

Error request_timeout(std::string detail) {
  return {Code::kTimeout, Component::kGateway, "request_timeout", std::move(detail)};
}

Error server_ends() {
  return {Code::kUnavailable, Component::kGateway, "draining",
          "the server ends, and the request had not come as a whole: nothing ran; send it again"};
}

}  // namespace sterna::net
