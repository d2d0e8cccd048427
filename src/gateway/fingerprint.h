// Which call a request with an Idempotency-Key repeats: whose key it is, and whether it is the same request.
#pragma once

#include <string>
#include <string_view>

#include "net/body.h"
#include "net/http_parser.h"

namespace sterna::gateway {

// SHA-256 of method, path, query and body, in hex. Fails with io when a spooled body cannot be read.
Result<std::string> fingerprint_of(std::string_view method, std::string_view path, std::string_view query,
                                   const net::Body& body);

// What the queue knows a caller's key by, in hex: nobody else's is the same, whatever they send. The caller
// is the app whose token was checked, with any of its tokens. Where none was (empty), it is who sends the
// same Authorization and Cookie: the function tells its callers by them, and only it knows which ones are
// one.
std::string callers_key(std::string_view app, const net::HttpRequest& request, std::string_view key);

}  // namespace sterna::gateway
