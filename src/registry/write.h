// How every change of the registry is made. Internal to registry/.
#pragma once

#include "registry/registry.h"
#include "registry/rows.h"
#include "store/statement.h"

namespace sterna::registry {

// `function` may be filled by `body`; an empty id means that there is nobody to tell about.
template <class Body>
auto Registry::write(const FunctionRef& function, Body body) -> decltype(body()) {
  auto result = [&] {
    const std::scoped_lock lock(mutex_);
    return store::transact(*database_, body);
  }();
  if (result && !function.id.empty()) tell(Change::Kind::kChanged, function);
  return result;
}

}  // namespace sterna::registry
