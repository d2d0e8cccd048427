#include "logs/queue_shares.h"

namespace sterna::logs {
namespace {

bool fits(std::uint64_t line_bytes, const QueueUse& use, std::uint64_t bytes) {
  return use.of_function + line_bytes + use.of_space + use.of_all <= bytes;
}

}  // namespace

Room room_for(std::uint64_t line_bytes, const QueueUse& use, const QueueLimits& limits) {
  const std::uint64_t own = use.of_function;
  const std::uint64_t space = use.of_space;
  if (own + line_bytes <= limits.bytes_for_each || fits(line_bytes, use, limits.bytes)) return Room::kFits;
  // The reason is who would be over if nobody else wrote.
  if (!fits(line_bytes, {.of_function = own, .of_space = own, .of_all = own}, limits.bytes))
    return Room::kFunctionIsOver;
  if (!fits(line_bytes, {.of_function = own, .of_space = space, .of_all = space}, limits.bytes))
    return Room::kSpaceIsOver;
  return Room::kServerIsOver;
}

}  // namespace sterna::logs
