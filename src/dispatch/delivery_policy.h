// What becomes of a callback after a try: the delivery rules of SPEC 2 as a pure function.
#pragma once

#include "callback/sender.h"
#include "queue/outbox.h"

namespace sterna::dispatch {

struct DeliveryContext {
  std::int64_t tried = 0;  // before this one
  std::int64_t max_attempts = 8;
  Duration waited{};  // since the callback became due
  WallTime now;
  double random = 0;  // from [0, 1)
};

// For how long a callback waits for a target that does not answer: as long as all its tries may take, and a
// little more.
Duration longest_wait(std::int64_t max_attempts);

queue::DeliveryEnd decide(const callback::PostResult& result, const DeliveryContext& context);

}  // namespace sterna::dispatch
