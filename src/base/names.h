// What a space or function may be called (SPEC 1).
#pragma once

#include <string_view>

namespace sterna {

// ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$: a DNS label (RFC 1123).
bool is_valid_name(std::string_view name);

inline constexpr std::string_view kNameRule =
    "1 to 63 lower-case letters, digits or hyphens; begins and ends with a letter or digit";

}  // namespace sterna
