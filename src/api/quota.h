// How much of the server a space may use at a time: the field `quota` of spaces.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "api/json.h"
#include "api/object_reader.h"

namespace sterna::api {

// nullopt: what the server says; 0: no limit but the server's own.
struct Quota {
  std::optional<std::int64_t> functions;
  std::optional<std::int64_t> replicas;    // of all functions together
  std::optional<std::int64_t> memory_mb;   // of all replicas: limits.memory_mb of each
  std::optional<std::int64_t> backlog;     // asynchronous invocations that have not ended
  std::optional<std::int64_t> code_bytes;  // of all versions that are kept, each code once
  std::optional<std::int64_t> secrets;
  std::optional<std::int64_t> apps;

  friend bool operator==(const Quota&, const Quota&) = default;
};

struct QuotaField {
  std::string_view name;
  std::optional<std::int64_t> Quota::* value;
};
inline constexpr std::array kQuotaFields = {QuotaField{"functions", &Quota::functions},
                                            QuotaField{"replicas", &Quota::replicas},
                                            QuotaField{"memory_mb", &Quota::memory_mb},
                                            QuotaField{"backlog", &Quota::backlog},
                                            QuotaField{"code_bytes", &Quota::code_bytes},
                                            QuotaField{"secrets", &Quota::secrets},
                                            QuotaField{"apps", &Quota::apps}};

// `own`, and where it says nothing the defaults.
Quota with_defaults(const Quota& own, const Quota& defaults);

// Whether `used` is more than the quota lets through.
bool is_over(const std::optional<std::int64_t>& limit, std::int64_t used);

void read_quota(ObjectReader& space, Quota& out, FieldErrors& errors);
OrderedJson to_json(const Quota& quota);

}  // namespace sterna::api
