// What variables of `env` and secrets may be called: names that every shell and runtime can read.
#pragma once

#include <string_view>

namespace sterna::api {

// Why `name` cannot be one, for the user; empty when it can.
std::string_view variable_name_problem(std::string_view name);

}  // namespace sterna::api
