// What makes two requests with one Idempotency-Key the same.
#pragma once

#include <string>
#include <string_view>

#include "net/body.h"

namespace sterna::gateway {

// SHA-256 of method, path, query and body, in hex. Fails with io when a spooled body cannot be read.
Result<std::string> fingerprint_of(std::string_view method, std::string_view path, std::string_view query,
                                   const net::Body& body);

}  // namespace sterna::gateway
