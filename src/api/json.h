// Reads JSON from strangers and writes it for them.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::api {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // for answers: fields come in the order of the documentation

inline constexpr std::size_t kMaxJsonDepth = 32;
// A function with 5000 files, the largest document that is taken, has some 10,000; 100,000 need about 10 MB.
inline constexpr std::size_t kMaxJsonValues = 100'000;

// Fails with invalid, reason `bad_json`, and says where: broken syntax, invalid UTF-8, numbers that do not
// fit, deeper than kMaxJsonDepth, more than `max_values` (objects and lists count too), or one key twice in
// one object. Takes time in proportion to the text.
Result<Json> parse_json(std::string_view text, std::size_t max_values = kMaxJsonValues);

// One line; invalid UTF-8 (a traceback of user code may hold some) becomes U+FFFD.
std::string dump(const OrderedJson& value);
std::string dump(const Json& value);

}  // namespace sterna::api
