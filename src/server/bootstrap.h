// The first administrator: somebody has to be able to make all other apps.
#pragma once

#include <string>

#include "registry/registry.h"

namespace sterna::server {

// Makes one where nobody may administer the server, and prints its client id and secret to standard output,
// which is the only place they are ever shown; fails with io, before it makes one, when nothing can be
// written there. `url` is where the server can be reached.
Status make_first_administrator(registry::Registry& registry, const std::string& url);

}  // namespace sterna::server
