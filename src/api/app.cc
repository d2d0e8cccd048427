#include "api/app.h"

#include <algorithm>

#include "api/object_reader.h"
#include "api/rate_limit.h"
#include "base/names.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxDescription = 1000;
constexpr std::size_t kMaxScopes = 64;
constexpr std::size_t kMaxScopeLength = 64;
constexpr std::size_t kMaxFunctions = 200;

void read_name(ObjectReader& reader, std::string& out) {
  const Json* name = reader.find("name");
  if (name == nullptr) return reader.error("name", "is required");
  if (!name->is_string() || !is_valid_name(name->get_ref<const std::string&>()))
    return reader.error("name", std::string(kNameRule));
  out = name->get<std::string>();
}

// An array of texts, each of which `good` accepts.
template <class Good>
void read_texts(ObjectReader& reader, const std::string& key, std::size_t most, std::string_view form,
                Good good, std::vector<std::string>& out) {
  const Json* list = reader.find(key);
  if (list == nullptr) return;
  if (!list->is_array() || list->size() > most)
    return reader.error(key, "must be an array of at most " + std::to_string(most) + " texts");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    if (!value.is_string() || !good(value.get_ref<const std::string&>())) {
      reader.error(key + "[" + std::to_string(i) + "]", std::string(form));
    } else {
      out.push_back(value.get<std::string>());
    }
  }
}

void read_expiry(ObjectReader& reader, std::optional<WallTime>& out) {
  const Json* value = reader.find("expires_at");
  if (value == nullptr) return;
  const auto time = value->is_string() ? parse_rfc3339(value->get_ref<const std::string&>())
                                       : Result<WallTime>(std::unexpected(Error{}));
  if (!time) return reader.error("expires_at", "must be a time such as 2030-01-31T12:00:00Z");
  out = *time;
}

}  // namespace

Validated<AppSpec> parse_app(const Json& json) {
  AppSpec spec;
  FieldErrors errors;
  ObjectReader reader(json, "", errors);
  if (!json.is_object()) return std::unexpected(std::move(errors));
  read_name(reader, spec.name);
  reader.text("description", spec.description, kMaxDescription);
  read_texts(
      reader, "scopes", kMaxScopes, "must be a scope such as function.invoke",
      [](const std::string& text) { return !text.empty() && text.size() <= kMaxScopeLength; }, spec.scopes);
  if (spec.scopes.empty() && errors.empty()) reader.error("scopes", "must name at least one scope");
  read_texts(reader, "functions", kMaxFunctions, kNameRule, is_valid_name, spec.functions);
  std::ranges::sort(spec.functions);
  const auto repeated = std::ranges::unique(spec.functions);
  spec.functions.erase(repeated.begin(), repeated.end());
  read_expiry(reader, spec.expires_at);
  reader.boolean("disabled", spec.disabled);
  read_rate_limit(reader, spec.rate_limit, errors);
  // What an answer holds beside them may be sent back.
  for (const char* key : {"id", "client_id", "space", "created_at", "updated_at"}) reader.ignore(key);
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

OrderedJson to_json(const AppSpec& spec) {
  OrderedJson json = {{"name", spec.name},
                      {"description", spec.description},
                      {"scopes", spec.scopes},
                      {"functions", spec.functions},
                      {"expires_at", nullptr},
                      {"disabled", spec.disabled},
                      {"rate_limit", to_json(spec.rate_limit)}};
  if (spec.expires_at) json["expires_at"] = format_rfc3339(*spec.expires_at);
  return json;
}

}  // namespace sterna::api
