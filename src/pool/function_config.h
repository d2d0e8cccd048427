// All the pool must know of one version of a function. Plain data, never changed once a pool has it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/host_pattern.h"
#include "base/ip_address.h"
#include "base/network.h"
#include "pool/space_share.h"

namespace sterna::pool {

struct FunctionConfig {
  std::string id;  // of the function
  std::string space;
  std::string name;
  std::uint32_t version = 1;
  std::string runtime;               // which zygote, e.g. "python3"
  std::string template_name;         // canonical, e.g. "python3-http"
  std::string handler;               // file in the bundle
  std::vector<std::string> command;  // what is executed instead of the handler file; mostly empty
  std::string bundle_dir;            // absolute path on the host
  bool bundle_writable = false;      // a build's folder
  std::map<std::string, std::string> env;
  std::map<std::string, std::string> secrets;  // plain values of the files in /run/secrets, by name
  Network network = Network::kEgress;
  // With network egress: the only targets; none in either: the public internet.
  std::vector<IpRange> egress_allow;
  std::vector<HostTarget> egress_names;

  Duration timeout = std::chrono::seconds(30);
  std::uint64_t memory_bytes = 128U << 20;
  double cpus = 1.0;
  std::uint32_t max_pids = 64;
  std::optional<std::uint32_t> concurrency;  // not given: 1, or kAsyncConcurrency for an async handler
  std::uint32_t min_replicas = 0;
  std::uint32_t max_replicas = 4;
  Duration idle = std::chrono::seconds(300);
  Duration queue_wait = std::chrono::seconds(10);
  bool warm_parent = true;        // replicas may be forked from one that is slow to load
  bool request_buffering = true;  // false: its workers take a body while it comes
  std::string refusal;            // why this server starts no worker for it; empty: it does
  bool proven = false;            // an earlier server has loaded this version
  bool is_async = false;          // as far as known when proven
  // What the space's functions have together; the one thing here that changes. Shared: workers outlive their
  // space. Null: no limit.
  std::shared_ptr<SpaceShare> share{};
};

inline constexpr std::uint32_t kAsyncConcurrency = 64;

}  // namespace sterna::pool
