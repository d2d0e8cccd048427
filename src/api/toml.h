// TOML from users: sterna.toml and function.toml. The one place that includes toml++.
#pragma once

#include <stdexcept>

// A broken file is an Error like any other. Some of them, `[[=]]` for one, lead toml++ into its own
// assertions, which would end the program: they become exceptions, and parse_toml makes an Error of those.
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : throw std::logic_error("toml++: " #condition))
#ifdef NDEBUG
#error "toml++ takes its assertions for true with NDEBUG: build without it"
#endif
#include <toml++/toml.h>

#include <string_view>

#include "base/error.h"

namespace sterna::api {

// `place` names the text in the error. Fails with invalid, reason `bad_toml`: "sterna.toml line 3: what is
// wrong".
Result<toml::table> parse_toml(std::string_view text, std::string_view place);

}  // namespace sterna::api
