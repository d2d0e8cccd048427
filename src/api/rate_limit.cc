#include "api/rate_limit.h"

#include <cmath>

namespace sterna::api {
namespace {

constexpr double kMaxRequests = 1e6;
constexpr std::int64_t kMaxBurst = 1'000'000;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 40;

OrderedJson or_null(const std::optional<std::int64_t>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

// Whole ones as integers.
OrderedJson or_null(const std::optional<double>& value) {
  if (value && *value == std::floor(*value)) return static_cast<std::int64_t>(*value);
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

void read_whole(ObjectReader& reader, std::string_view key, std::int64_t max,
                std::optional<std::int64_t>& out) {
  if (reader.find(key) == nullptr) return;
  out = 0;
  reader.integer(key, *out, 0, max);
}

}  // namespace

void read_rate_limit(ObjectReader& owner, RateLimit& out, FieldErrors& errors) {
  const Json* json = owner.find("rate_limit");
  if (json == nullptr) return;
  ObjectReader reader(*json, "rate_limit", errors);
  if (reader.find("requests_per_second") != nullptr) {
    out.requests_per_second = 0;
    reader.number("requests_per_second", *out.requests_per_second, 0, kMaxRequests);
  }
  read_whole(reader, "burst", kMaxBurst, out.burst);
  read_whole(reader, "bytes_per_second", kMaxBytes, out.bytes_per_second);
  reader.finish();
}

OrderedJson to_json(const RateLimit& limit) {
  return {{"requests_per_second", or_null(limit.requests_per_second)},
          {"burst", or_null(limit.burst)},
          {"bytes_per_second", or_null(limit.bytes_per_second)}};
}

}  // namespace sterna::api
