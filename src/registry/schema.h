// The registry's tables, as numbered steps.
#pragma once

#include <span>
#include <string_view>

namespace sterna::registry {

std::span<const std::string_view> schema_steps();

}  // namespace sterna::registry
