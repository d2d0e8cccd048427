// How code and the commit that refers to it go together. Internal to the management API.
#pragma once

#include "gateway/management.h"

namespace sterna::gateway {

template <class Commit>
auto Management::store_and_commit(std::string_view space, const std::optional<bundle::Files>& files,
                                  Commit commit) -> decltype(commit(std::optional<std::string>())) {
  std::optional<std::string> hash;
  if (files) {
    Result<std::string> stored = bundles_.put(*files, space);
    if (!stored) return std::unexpected(stored.error());
    hash = std::move(*stored);
  }
  const Status room = hash ? check_code_bytes(space, *hash) : Status();
  auto result = room ? commit(hash) : std::unexpected(room.error());
  if (!result && hash) {
    if (const auto unused = registry_.unused_bundles({*hash})) drop(*unused);
  }
  return result;
}

}  // namespace sterna::gateway
