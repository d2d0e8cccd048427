#include "api/quota.h"

namespace sterna::api {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 50;

}  // namespace

Quota with_defaults(const Quota& own, const Quota& defaults) {
  Quota all = own;
  for (const QuotaField& field : kQuotaFields) {
    if (!(all.*field.value)) all.*field.value = defaults.*field.value;
  }
  return all;
}

bool is_over(const std::optional<std::int64_t>& limit, std::int64_t used) {
  return limit && *limit > 0 && used > *limit;
}

void read_quota(ObjectReader& space, Quota& out, FieldErrors& errors) {
  const Json* json = space.find("quota");
  if (json == nullptr) return;
  ObjectReader reader(*json, "quota", errors);
  for (const QuotaField& field : kQuotaFields) {
    if (reader.find(field.name) == nullptr) continue;
    std::optional<std::int64_t>& value = out.*field.value;
    value = 0;
    reader.integer(field.name, *value, 0, kMost);
  }
  reader.finish();
}

OrderedJson to_json(const Quota& quota) {
  OrderedJson json = OrderedJson::object();
  for (const QuotaField& field : kQuotaFields) {
    const std::optional<std::int64_t>& value = quota.*field.value;
    json[std::string(field.name)] = value ? OrderedJson(*value) : OrderedJson(nullptr);
  }
  return json;
}

}  // namespace sterna::api
