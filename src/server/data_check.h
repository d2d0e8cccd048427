// Whether a data directory still has the registry that its code and its calls belong to.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace sterna::server {

// Call before the databases are opened. What no function of the registry uses is removed at a start: without
// `sterna.db`, or with an empty one, all code and all calls. Fails with invalid `registry_missing` then, and
// with io when a database cannot be read.
Status check_data(const std::filesystem::path& data_dir);

}  // namespace sterna::server
