// What the functions of a space use together, beside what they may.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/rate_limit.h"
#include "pool/space_share.h"

namespace sterna::invoke {

// Loop only.
struct SpaceUse {
  // Of the invocations; null: there is no limit. Shared: answers under way outlive the space.
  std::shared_ptr<Meter> meter;
  // Shared: workers outlive it too.
  std::shared_ptr<pool::SpaceShare> share = std::make_shared<pool::SpaceShare>();
  std::optional<std::size_t> max_backlog;  // nullopt: what the queue says
  std::optional<WallTime> made_at;         // nullopt: its settings have not come yet
};

}  // namespace sterna::invoke
