// What a worker answers is not trusted: a head is looked at before it may reach a client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "wire/messages.h"

namespace sterna::pool {

// Empty when status, names (tokens, RFC 9110 5.6.2) and values (no control characters but tab, RFC 9110 5.5)
// are well formed, otherwise what is wrong.
std::string check_response(const wire::ResponseHead& head);

// Counts a part of a body off `left`, the bytes that its head has announced and that have not come yet
// (wire::kUnknownLength: it has announced none). False when the body is longer than that, or ends before.
bool count_body(std::uint64_t& left, std::size_t bytes, wire::More more);

}  // namespace sterna::pool
