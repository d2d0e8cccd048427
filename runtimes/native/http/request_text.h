// A call's request as the text of an HTTP/1.1 request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/messages.h"

namespace sterna::native {

// The head with its empty line, for a body of that many bytes; nullopt: in chunks. The path is
// percent-encoded again.
std::string request_head(const wire::RequestHead& request, std::optional<std::uint64_t> body_bytes);

}  // namespace sterna::native
