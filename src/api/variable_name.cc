#include "api/variable_name.h"

#include <algorithm>

namespace sterna::api {
namespace {

constexpr std::size_t kMaxVariableName = 128;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::string_view variable_name_problem(std::string_view name) {
  if (name.empty() || name.size() > kMaxVariableName || !std::ranges::all_of(name, is_word) ||
      (name.front() >= '0' && name.front() <= '9')) {
    return "the name must be letters, digits and underscores, not begin with a digit, and be at most 128 "
           "long";
  }
  if (name.starts_with("STERNA_")) return "names that begin with STERNA_ are the platform's own";
  return {};
}

}  // namespace sterna::api
