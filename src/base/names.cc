#include "base/names.h"

#include <algorithm>

namespace sterna {

bool is_valid_name(std::string_view name) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && is_alnum(name.front()) && is_alnum(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return is_alnum(c) || c == '-'; });
}

}  // namespace sterna
