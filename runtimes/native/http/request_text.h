// A call's request as the text of an HTTP/1.1 request.
#pragma once

#include <string>
#include <string_view>

#include "wire/messages.h"

namespace sterna::native {

// The head with its empty line, for a body of that many bytes. The path is percent-encoded again.
std::string request_head(const wire::RequestHead& request, std::size_t body_bytes);

}  // namespace sterna::native
