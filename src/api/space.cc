#include "api/space.h"

#include "api/object_reader.h"
#include "api/rate_limit.h"
#include "base/names.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxCallbackTargets = 200;
constexpr std::size_t kMaxTargetLength = 300;

void read_callback_allow(ObjectReader& reader, std::vector<std::string>& out) {
  const Json* list = reader.find("callback_allow");
  if (list == nullptr) return;
  if (!list->is_array() || list->size() > kMaxCallbackTargets) {
    return reader.error("callback_allow", "must be an array of at most 200 networks or host names");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    std::string text = value.is_string() ? value.get<std::string>() : "";
    if (text.empty() || text.size() > kMaxTargetLength) {
      reader.error("callback_allow[" + std::to_string(i) + "]", "must be a string of 1 to 300 characters");
    }
    out.push_back(std::move(text));
  }
}

}  // namespace

Validated<SpaceSpec> parse_space(const Json& json) {
  SpaceSpec spec;
  FieldErrors errors;
  ObjectReader reader(json, "", errors);
  if (!json.is_object()) return std::unexpected(std::move(errors));
  const Json* name = reader.find("name");
  if (name == nullptr) {
    reader.error("name", "is required");
  } else if (!name->is_string() || !is_valid_name(name->get_ref<const std::string&>())) {
    reader.error("name", std::string(kNameRule));
  } else {
    spec.name = name->get<std::string>();
  }
  read_callback_allow(reader, spec.callback_allow);
  read_rate_limit(reader, spec.rate_limit, errors);
  read_quota(reader, spec.quota, errors);
  // What an answer holds beside them may be sent back.
  for (const char* key : {"usage", "created_at"}) reader.ignore(key);
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

OrderedJson to_json(const SpaceSpec& spec) {
  return {{"name", spec.name},
          {"callback_allow", spec.callback_allow},
          {"rate_limit", to_json(spec.rate_limit)},
          {"quota", to_json(spec.quota)}};
}

OrderedJson to_json(const SpaceSpec& spec, WallTime created_at) {
  OrderedJson json = to_json(spec);
  json["created_at"] = format_rfc3339(created_at);
  return json;
}

}  // namespace sterna::api
