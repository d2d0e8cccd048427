#include "api/function_json.h"

#include "api/templates.h"

namespace sterna::api {
namespace {

OrderedJson limits_json(const Limits& limits, std::optional<std::int64_t> concurrency) {
  OrderedJson json = {{"timeout_seconds", seconds_json(limits.timeout)},
                      {"memory_mb", limits.memory_mb},
                      {"cpus", limits.cpus},
                      {"max_pids", limits.max_pids}};
  if (concurrency) json["concurrency"] = *concurrency;
  json["min_replicas"] = limits.min_replicas;
  json["max_replicas"] = limits.max_replicas;
  json["idle_seconds"] = seconds_json(limits.idle);
  json["network"] = to_string(limits.network);
  json["egress_allow"] = limits.egress_allow;
  json["max_body_bytes"] = limits.max_body_bytes;
  json["queue_wait_seconds"] = seconds_json(limits.queue_wait);
  json["warm_parent"] = limits.warm_parent;
  return json;
}

OrderedJson async_json(const AsyncPolicy& async) {
  OrderedJson json = {{"max_attempts", async.max_attempts}};
  if (async.concurrency) json["concurrency"] = *async.concurrency;
  json["max_age_seconds"] = seconds_json(async.max_age);
  json["retry_on"] = async.retry_on;
  return json;
}

OrderedJson options_json(const std::map<std::string, OptionValue>& options) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [key, value] : options) {
    json[key] = std::visit([](const auto& plain) { return OrderedJson(plain); }, value);
  }
  return json;
}

OrderedJson spec_json(const FunctionSpec& spec, std::optional<std::int64_t> concurrency) {
  OrderedJson env = OrderedJson::object();
  for (const auto& [key, value] : spec.env) env[key] = value;
  return {{"name", spec.name},
          {"description", spec.description},
          {"template", spec.template_name},
          {"command", spec.command},
          {"request_buffering", spec.request_buffering},
          {"env", std::move(env)},
          {"secrets", spec.secrets},
          {"secrets_env", spec.secrets_env},
          {"options", options_json(spec.options)},
          {"limits", limits_json(spec.limits, concurrency)},
          {"async", async_json(spec.async)},
          {"callback", {{"max_attempts", spec.callback.max_attempts}}},
          {"access", to_string(spec.access)},
          {"cors", to_json(spec.cors)}};
}

}  // namespace

std::string_view to_string(Access access) {
  switch (access) {
    case Access::kToken:
      return "token";
    case Access::kPublic:
      return "public";
    case Access::kInternal:
      return "internal";
  }
  return "token";
}

std::int64_t effective_concurrency(const FunctionSpec& spec, std::optional<bool> handler_async) {
  if (spec.limits.concurrency) return *spec.limits.concurrency;
  const Template* const row = find_template(spec.template_name);
  if (row != nullptr && row->concurrency) return *row->concurrency;
  return handler_async.value_or(false) ? kAsyncConcurrency : kSyncConcurrency;
}

OrderedJson seconds_json(Duration duration) {
  const std::int64_t nanoseconds = duration.count();
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (nanoseconds % kSecond == 0) return nanoseconds / kSecond;
  return static_cast<double>(nanoseconds) / 1e9;
}

OrderedJson to_json(const FunctionSpec& spec) {
  return spec_json(spec, spec.limits.concurrency);
}

OrderedJson to_json(const FunctionSpec& spec, std::optional<bool> handler_async) {
  return spec_json(spec, effective_concurrency(spec, handler_async));
}

}  // namespace sterna::api
