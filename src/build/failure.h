// Why a build failed, in one line for the function's status: what file, what line, what to do.
#pragma once

#include <string>
#include <string_view>

#include "build/recipe.h"

namespace sterna::build {

// `output` is what the tool printed, its beginning and its end at least; `end` how it ended ("exited with
// status 1").
std::string failure_reason(const Recipe& recipe, std::string_view output, std::string_view end);

}  // namespace sterna::build
