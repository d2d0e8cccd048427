#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "api/function_json.h"
#include "api/object_reader.h"
#include "api/templates.h"
#include "api/variable_name.h"
#include "base/host_pattern.h"
#include "base/ip_address.h"
#include "base/names.h"

namespace sterna::api {
namespace {

constexpr std::size_t kMaxDescription = 4096;
constexpr std::size_t kMaxEnvBytes = 64 << 10;  // all names and values of `env` together; `options` alike
constexpr std::size_t kMaxEntries = 500;
constexpr std::size_t kMaxCommandBytes = 16 << 10;  // all words together
constexpr std::size_t kMaxOptionName = 128;
constexpr double kMaxTimeoutSeconds = 86400;

template <class Enum, std::size_t N>
void read_word(ObjectReader& reader, std::string_view key, Enum& out, const std::array<Enum, N>& words) {
  const Json* value = reader.find(key);
  if (value == nullptr) return;
  std::vector<std::string_view> names;
  for (const Enum word : words) {
    names.push_back(to_string(word));
    if (value->is_string() && value->get_ref<const std::string&>() == names.back()) {
      out = word;
      return;
    }
  }
  reader.error(key, fmt::format("must be one of: {}", fmt::join(names, ", ")));
}

void read_name(ObjectReader& reader, std::string& out) {
  const Json* value = reader.find("name");
  if (value == nullptr) return reader.error("name", "is required");
  if (!value->is_string() || !is_valid_name(value->get_ref<const std::string&>())) {
    return reader.error("name", std::string(kNameRule));
  }
  out = value->get<std::string>();
}

void read_template(ObjectReader& reader, std::string& out, const SpecRules& rules) {
  const Json* value = reader.find("template");
  const std::string name = value == nullptr ? out : (value->is_string() ? value->get<std::string>() : "");
  if (std::ranges::find(rules.templates, name) == rules.templates.end()) {
    return reader.error("template", fmt::format("must be one of: {}", fmt::join(rules.templates, ", ")));
  }
  out = name;
}

void read_command(ObjectReader& reader, std::string_view template_name, std::vector<std::string>& out) {
  const Json* command = reader.find("command");
  if (command == nullptr || (command->is_array() && command->empty())) return;
  if (!command->is_array() || command->size() > kMaxEntries)
    return reader.error("command", fmt::format("must be an array of at most {} strings", kMaxEntries));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < command->size(); ++i) {
    const Json& word = (*command)[i];
    const bool good = word.is_string() && !word.get_ref<const std::string&>().contains('\0') &&
                      (i > 0 || !word.get_ref<const std::string&>().empty());
    if (!good) return reader.error(fmt::format("command[{}]", i), "must be a string without NUL characters");
    out.push_back(word.get<std::string>());
    bytes += out.back().size() + 1;
  }
  if (bytes > kMaxCommandBytes)
    reader.error("command", fmt::format("all words together: at most {} bytes", kMaxCommandBytes));
  const Template* const row = find_template(template_name);
  if (row != nullptr && row->command == CommandUse::kNever)
    reader.error("command", fmt::format("the template {} takes no command", template_name));
}

void read_request_buffering(ObjectReader& reader, std::string_view template_name, bool& out) {
  reader.boolean("request_buffering", out);
  const Template* const row = find_template(template_name);
  if (out || row == nullptr || row->body == BodyUse::kReads) return;
  std::vector<std::string_view> names;
  for (const Template& each : templates()) {
    if (each.body == BodyUse::kReads) names.push_back(each.name);
  }
  reader.error(
      "request_buffering",
      fmt::format("must be true: the template {} gets the body as a whole; code that reads it while it "
                  "comes takes the template {}",
                  template_name, fmt::join(names, " or ")));
}

void read_env(ObjectReader& reader, std::map<std::string, std::string>& out) {
  const Json* env = reader.find("env");
  if (env == nullptr) return;
  if (!env->is_object()) return reader.error("env", "must be an object of strings");
  if (env->size() > kMaxEntries) return reader.error("env", fmt::format("at most {} variables", kMaxEntries));
  std::size_t bytes = 0;
  for (const auto& [name, value] : env->items()) {
    const std::string field = "env." + name;
    if (value.is_null()) continue;
    if (const auto problem = variable_name_problem(name); !problem.empty())
      reader.error(field, std::string(problem));
    if (!value.is_string()) {
      reader.error(field, "must be a string");
      continue;
    }
    const auto& text = value.get_ref<const std::string&>();
    if (text.contains('\0')) reader.error(field, "must not hold a NUL character");
    bytes += name.size() + text.size() + 2;
    out[name] = text;
  }
  if (bytes > kMaxEnvBytes)
    reader.error("env", fmt::format("all variables together: at most {} bytes", kMaxEnvBytes));
}

void read_secrets(ObjectReader& reader, const std::map<std::string, std::string>& env,
                  std::vector<std::string>& out) {
  const Json* secrets = reader.find("secrets");
  if (secrets == nullptr) return;
  if (!secrets->is_array()) return reader.error("secrets", "must be an array of names");
  if (secrets->size() > kMaxEntries)
    return reader.error("secrets", fmt::format("at most {} names", kMaxEntries));
  std::set<std::string> seen;
  for (std::size_t i = 0; i < secrets->size(); ++i) {
    const Json& value = (*secrets)[i];
    const std::string field = fmt::format("secrets[{}]", i);
    if (!value.is_string()) {
      reader.error(field, "must be a string");
      continue;
    }
    const auto& name = value.get_ref<const std::string&>();
    if (const auto problem = variable_name_problem(name); !problem.empty())
      reader.error(field, std::string(problem));
    if (!seen.insert(name).second) reader.error(field, "is there twice");
    if (env.contains(name)) reader.error(field, "has the name of a variable in env");
    out.push_back(name);
  }
}

void read_options(ObjectReader& reader, std::map<std::string, OptionValue>& out) {
  const Json* options = reader.find("options");
  if (options == nullptr) return;
  if (!options->is_object()) return reader.error("options", "must be an object");
  if (options->size() > kMaxEntries)
    return reader.error("options", fmt::format("at most {} entries", kMaxEntries));
  std::size_t bytes = 0;
  for (const auto& [key, value] : options->items()) {
    bytes += key.size() + 16;
    if (key.empty() || key.size() > kMaxOptionName)
      reader.error("options." + key, "the key must be 1 to 128 bytes");
    if (value.is_boolean()) {
      out[key] = value.get<bool>();
    } else if (value.is_string()) {
      bytes += value.get_ref<const std::string&>().size();
      out[key] = value.get<std::string>();
    } else if (std::int64_t whole = 0;
               value.is_number_integer() && read_integer(value, INT64_MIN, INT64_MAX, whole)) {
      out[key] = whole;
    } else if (value.is_number()) {
      out[key] = value.get<double>();
    } else if (!value.is_null()) {
      reader.error("options." + key, "must be a string, a number or true/false");
    }
  }
  if (bytes > kMaxEnvBytes)
    reader.error("options", fmt::format("all together: at most {} bytes", kMaxEnvBytes));
}

// A target that is not public is of use only if the administrator has opened it.
bool is_reachable(const IpRange& range, const SpecRules& rules) {
  if (!rules.egress_private || !special_use(range.base)) return true;
  return std::ranges::any_of(*rules.egress_private, [&range](const IpRange& open) {
    return open.contains(range) || range.contains(open);
  });
}

void read_egress_allow(ObjectReader& reader, const SpecRules& rules, std::vector<std::string>& out) {
  constexpr std::size_t kMaxTargets = 64;
  const Json* list = reader.find("egress_allow");
  if (list == nullptr) return;
  out.clear();
  if (!list->is_array() || list->size() > kMaxTargets) {
    return reader.error("egress_allow", "must be an array of at most 64 addresses, ranges or host names");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& entry = (*list)[i];
    const std::string field = fmt::format("egress_allow[{}]", i);
    const std::string text = entry.is_string() ? entry.get<std::string>() : std::string();
    const auto range = parse_ip_range(text);
    const auto host = parse_host_target(text);
    if (host) {
      out.push_back(to_string(*host));
    } else if (!range) {
      reader.error(field,
                   "must be a host name like api.example.com, *.example.org or api.example.com:443, an "
                   "address, or a range like 203.0.113.0/24");
    } else if (!is_reachable(*range, rules)) {
      reader.error(field, "is no public address; the administrator opens private ones with --egress-private");
    } else {
      out.push_back(to_string(*range));
    }
  }
}

void read_max_body(ObjectReader& reader, const SpecRules& rules, std::int64_t& out) {
  constexpr std::string_view kField = "max_body_bytes";
  const Json* value = reader.find(kField);
  if (value == nullptr || read_integer(*value, 0, rules.max_body_bytes, out)) return;
  reader.error(kField, fmt::format("a whole number from 0 to {}, which is the server's limits.max_body_bytes",
                                   rules.max_body_bytes));
}

void read_limits(const Json& json, const SpecRules& rules, Limits& out, FieldErrors& errors) {
  ObjectReader reader(json, "limits", errors);
  reader.seconds("timeout_seconds", out.timeout, 0.01, kMaxTimeoutSeconds);
  reader.integer("memory_mb", out.memory_mb, 16, 65536);
  reader.number("cpus", out.cpus, 0.01, 64);
  reader.integer("max_pids", out.max_pids, 4, 4096);
  if (reader.find("concurrency") != nullptr) {
    out.concurrency = kSyncConcurrency;
    reader.integer("concurrency", *out.concurrency, 1, 1000);
  }
  reader.integer("min_replicas", out.min_replicas, 0, 100);
  reader.integer("max_replicas", out.max_replicas, 1, 100);
  if (out.min_replicas > out.max_replicas)
    reader.error("min_replicas", "must not be greater than max_replicas");
  reader.seconds("idle_seconds", out.idle, 0, 86400);
  read_word(reader, "network", out.network, std::array{Network::kNone, Network::kEgress, Network::kHost});
  if (out.network == Network::kHost && !rules.allow_network_host)
    reader.error("network", std::string(kNetworkHostRefused));
  read_egress_allow(reader, rules, out.egress_allow);
  read_max_body(reader, rules, out.max_body_bytes);
  reader.seconds("queue_wait_seconds", out.queue_wait, 0, 3600);
  reader.boolean("warm_parent", out.warm_parent);
  reader.finish();
}

void read_async(const Json& json, AsyncPolicy& out, FieldErrors& errors) {
  ObjectReader reader(json, "async", errors);
  reader.integer("max_attempts", out.max_attempts, 1, 100);
  if (reader.find("concurrency") != nullptr) {
    out.concurrency = 1;
    reader.integer("concurrency", *out.concurrency, 1, 1000);
  }
  reader.seconds("max_age_seconds", out.max_age, 1, 30 * 86400);
  if (const Json* statuses = reader.find("retry_on"); statuses != nullptr) {
    out.retry_on.clear();
    constexpr std::size_t kMaxStatuses = 300;
    bool good = statuses->is_array() && statuses->size() <= kMaxStatuses;
    for (std::size_t i = 0; good && i < statuses->size(); ++i) {
      std::int64_t status = 0;
      good = read_integer((*statuses)[i], 300, 599, status);
      out.retry_on.push_back(status);
    }
    if (!good) reader.error("retry_on", "must be an array of status codes from 300 to 599");
  }
  reader.finish();
}

void read_callback(const Json& json, CallbackPolicy& out, FieldErrors& errors) {
  ObjectReader reader(json, "callback", errors);
  reader.integer("max_attempts", out.max_attempts, 1, 100);
  reader.finish();
}

}  // namespace

Validated<FunctionSpec> parse_spec(const Json& json, const SpecRules& rules) {
  FunctionSpec spec;
  spec.limits = rules.default_limits;
  FieldErrors errors;
  ObjectReader reader(json, "", errors);
  if (!json.is_object()) return std::unexpected(std::move(errors));
  read_name(reader, spec.name);
  reader.text("description", spec.description, kMaxDescription);
  read_template(reader, spec.template_name, rules);
  read_command(reader, spec.template_name, spec.command);
  read_request_buffering(reader, spec.template_name, spec.request_buffering);
  read_env(reader, spec.env);
  read_secrets(reader, spec.env, spec.secrets);
  reader.boolean("secrets_env", spec.secrets_env);
  read_options(reader, spec.options);
  if (const Json* limits = reader.find("limits")) read_limits(*limits, rules, spec.limits, errors);
  if (const Json* async = reader.find("async")) read_async(*async, spec.async, errors);
  if (const Json* callback = reader.find("callback")) read_callback(*callback, spec.callback, errors);
  read_word(reader, "access", spec.access, std::array{Access::kToken, Access::kPublic, Access::kInternal});
  read_cors(reader, spec.cors, errors);
  reader.ignore("source");
  for (const std::string_view field : kReadOnlyFields) reader.ignore(field);
  reader.finish();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return spec;
}

}  // namespace sterna::api
