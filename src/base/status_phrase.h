// The words that stand for HTTP statuses (RFC 9110 15).
#pragma once

#include <string_view>

namespace sterna {

// e.g. "Not Found"; "Unknown" for numbers without a phrase.
std::string_view status_phrase(unsigned status);

}  // namespace sterna
