// What this server builds functions with.
#pragma once

#include <string>
#include <vector>

#include "build/recipe.h"
#include "server/config.h"
#include "server/runtimes.h"

namespace sterna::server {

// What cannot be used is left out and named in `warnings`.
build::Toolbox toolbox_of(const Config& config, const Runtimes& runtimes, std::vector<std::string>& warnings);

}  // namespace sterna::server
