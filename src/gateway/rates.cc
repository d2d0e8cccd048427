#include "gateway/rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/problem.h"

namespace sterna::gateway {
namespace {

struct Owner {
  Meter* meter;
  std::string_view name;
  std::string_view requests;  // of TooFast::limit
  std::string_view bytes;
};

std::array<Owner, 2> owners(const Meters& meters) {
  return {Owner{meters.app.get(), "app", "app_requests", "app_bytes"},
          Owner{meters.space.get(), "space", "space_requests", "space_bytes"}};
}

}  // namespace

unsigned retry_after_seconds(Duration wait) {
  return static_cast<unsigned>(
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count()));
}

void Meters::take_bytes(std::uint64_t count, MonotonicTime now) const {
  for (const auto* meter : {&app, &space}) {
    if (*meter) (*meter)->take_bytes(count, now);
  }
}

Duration Meters::bytes_wait(MonotonicTime now) const {
  Duration wait{};
  for (const auto* meter : {&app, &space}) {
    if (*meter) wait = std::max(wait, (*meter)->bytes_wait(now));
  }
  return wait;
}

std::optional<TooFast> count_request(const Meters& meters, MonotonicTime now) {
  std::optional<TooFast> longest;
  const auto is_longest = [&](Duration wait) { return wait > (longest ? longest->wait : Duration::zero()); };
  for (const Owner& owner : owners(meters)) {
    if (owner.meter == nullptr) continue;
    const RateLimit& limit = owner.meter->limit();
    if (const Duration wait = owner.meter->requests_wait(now); is_longest(wait)) {
      longest = {.limit = owner.requests,
                 .detail = fmt::format("the {} may ask {} times a second (rate_limit.requests_per_second)",
                                       owner.name, limit.requests_per_second.value_or(0)),
                 .wait = wait};
    }
    if (const Duration wait = owner.meter->bytes_wait(now); is_longest(wait)) {
      longest = {.limit = owner.bytes,
                 .detail = fmt::format("the {} may send and receive {} bytes a second "
                                       "(rate_limit.bytes_per_second)",
                                       owner.name, limit.bytes_per_second.value_or(0)),
                 .wait = wait};
    }
  }
  if (longest) return longest;
  for (const Owner& owner : owners(meters)) {
    if (owner.meter != nullptr) owner.meter->take_request(now);
  }
  return std::nullopt;
}

void answer_too_fast(net::HttpConnection& connection, const TooFast& reason, std::string_view call_id) {
  constexpr unsigned kTooManyRequests = 429;
  const unsigned seconds = retry_after_seconds(reason.wait);
  connection.begin(kTooManyRequests);
  connection.header("Content-Type", api::kProblemType);
  connection.header("X-Sterna-Fault", "platform");
  connection.header("Retry-After", std::to_string(seconds));
  if (!call_id.empty()) connection.header("X-Call-Id", call_id);
  connection.send(
      api::to_json(api::Problem{.status = kTooManyRequests,
                                .component = reason.component,
                                .reason = std::string(kRateLimited),
                                .detail = fmt::format("{}; try again in {} s", reason.detail, seconds),
                                .call_id = std::string(call_id),
                                .errors = {}}));
}

}  // namespace sterna::gateway
