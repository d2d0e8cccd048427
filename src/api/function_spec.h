// What a user says about a function (SPEC section 3), as values. JSON and validation are in function_json.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/cors.h"
#include "base/clock.h"
#include "base/network.h"

namespace sterna::api {

enum class Access : std::uint8_t { kToken, kPublic, kInternal };

std::string_view to_string(Access access);

struct Limits {
  Duration timeout = std::chrono::seconds(30);
  std::int64_t memory_mb = 128;
  double cpus = 1.0;
  std::int64_t max_pids = 64;
  std::optional<std::int64_t> concurrency;  // not given: kSyncConcurrency or kAsyncConcurrency
  std::int64_t min_replicas = 0;
  std::int64_t max_replicas = 4;
  Duration idle = std::chrono::seconds(300);  // 0: a worker stops as soon as it has nothing to do
  Network network = Network::kEgress;
  std::vector<std::string>
      egress_allow;  // addresses, ranges and host names, the only targets; empty: the public internet
  std::int64_t max_body_bytes = 6 << 20;
  Duration queue_wait = std::chrono::seconds(10);
  bool warm_parent = true;  // replicas may be forked from a paused one that has loaded the handler

  friend bool operator==(const Limits&, const Limits&) = default;
};

// Calls that one worker runs at a time when neither the user nor the template says: a sync handler one, an
// async one many.
inline constexpr std::int64_t kSyncConcurrency = 1;
inline constexpr std::int64_t kAsyncConcurrency = 64;

struct AsyncPolicy {
  std::int64_t max_attempts = 3;
  std::optional<std::int64_t>
      concurrency;  // runs at a time; not given: what leaves a replica to sync callers
  Duration max_age = std::chrono::seconds(21600);
  std::vector<std::int64_t> retry_on = {408, 425, 429, 502, 503, 504};

  friend bool operator==(const AsyncPolicy&, const AsyncPolicy&) = default;
};

// How often the answer of an asynchronous invocation is sent to a receiver that does not take it.
struct CallbackPolicy {
  std::int64_t max_attempts = 8;

  friend bool operator==(const CallbackPolicy&, const CallbackPolicy&) = default;
};

using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

struct FunctionSpec {
  std::string name;
  std::string description;
  std::string template_name = "python3-http";  // as the user gave it: may be an alias
  std::map<std::string, std::string> env;
  std::vector<std::string> secrets;  // names; their values are files below /run/secrets
  bool secrets_env = false;          // and variables of the environment too
  // False: the function is called when the request's head has come, and reads the body as it comes.
  bool request_buffering = true;
  std::vector<std::string> command;  // what is executed, for templates that take one; empty: the handler file
  std::map<std::string, OptionValue> options;
  Limits limits;
  AsyncPolicy async;
  CallbackPolicy callback;
  Access access = Access::kToken;
  std::optional<Cors> cors;  // nullopt: browsers let only pages of the server's own origin read answers

  friend bool operator==(const FunctionSpec&, const FunctionSpec&) = default;
};

// The calls that one worker runs at a time. `handler_async` is known once a worker has loaded the handler;
// unknown counts as sync.
std::int64_t effective_concurrency(const FunctionSpec& spec, std::optional<bool> handler_async);

}  // namespace sterna::api
