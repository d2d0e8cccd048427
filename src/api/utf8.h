// Whether text can stand in JSON.
#pragma once

#include <string_view>

namespace sterna::api {

// RFC 3629
bool is_utf8(std::string_view text);

}  // namespace sterna::api
