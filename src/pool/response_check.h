// What a worker answers is not trusted: a head is looked at before it may reach a client.
#pragma once

#include <string>

#include "wire/messages.h"

namespace sterna::pool {

// Empty when status, names (tokens, RFC 9110 5.6.2) and values (no control characters but tab, RFC 9110 5.5)
// are well formed, otherwise what is wrong.
std::string check_response(const wire::ResponseHead& head);

}  // namespace sterna::pool
