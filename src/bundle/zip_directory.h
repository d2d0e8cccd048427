// A zip says twice what is in it: before each file, and in a directory at its end. Readers take one or the
// other, so what was looked at may not be what is deployed: archives that say two things are refused.
#pragma once

#include <string_view>

#include "base/error.h"

namespace sterna::bundle {

// How many entries there are. Fails with invalid: `bad_bundle_path` when the directory has another name or
// method than the entry itself, `bad_archive` when entries overlap, some are not in the directory, or it
// cannot be read.
Result<std::size_t> check_zip_directory(std::string_view archive);

}  // namespace sterna::bundle
