// The API's own description: openapi.json, built into the program.
#pragma once

#include <string_view>

namespace sterna::gateway {

extern const std::string_view kOpenApi;

}  // namespace sterna::gateway
