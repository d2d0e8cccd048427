// Finds one member of a JSON object without parsing the rest: a body of megabytes is cut out of its answer
// first, since a parser looks at each of its bytes several times.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::native {

// What is between the quotes of the string that the object has as its member `name`, the first one of that
// name; nullopt when there is none. For text that is an object; of other text the answer means nothing, but
// is a part of it.
std::optional<std::string_view> find_string_member(std::string_view object, std::string_view name);

// The text of a JSON string, given without its quotes. Fails with invalid, reason `bad_json`.
Result<std::string> unescape_json(std::string_view raw);

}  // namespace sterna::native
