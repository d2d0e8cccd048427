// Brings a database file to the schema that this program knows.
#pragma once

#include <span>
#include <string_view>

#include "store/database.h"

namespace sterna::store {

// `steps[n]` takes a database from version n to n + 1. A released step is never changed, only followed by
// another. Each step is one transaction together with its version number, so a crash leaves a whole version.
// Fails with conflict, reason `database_too_new`, when the file was written by a newer program. Errors name
// the file.
Status migrate(Database& database, std::span<const std::string_view> steps);

}  // namespace sterna::store
