// Base64 as in RFC 4648: code and bodies in JSON, and cursors in URLs.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::api {

std::string base64_encode(std::string_view bytes);
void append_base64(std::string& out, std::string_view bytes);

// Strict: the standard alphabet, padded, no white space, no stray bits. Fails with invalid, reason
// `bad_base64`.
Result<std::string> base64_decode(std::string_view text);

// The URL-safe alphabet without padding.
std::string base64url_encode(std::string_view bytes);
Result<std::string> base64url_decode(std::string_view text);

}  // namespace sterna::api
