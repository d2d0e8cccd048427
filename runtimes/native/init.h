// What the server tells a worker first: the INIT frame (wire/PROTOCOL.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sterna::native {

struct Init {
  std::string space;
  std::string function;
  std::string instance;
  std::uint64_t version = 0;
  std::string bundle;
  std::string template_name;
  std::string handler;  // file in the bundle; empty: none is there
  std::vector<std::string> command;
  std::string network;  // "none", "egress" or "host"
  std::vector<std::pair<std::string, std::string>> env;
  std::uint32_t concurrency = 1;         // of templates that run one call at a time
  std::uint32_t async_concurrency = 1;   // of those that run many
  std::chrono::milliseconds timeout{0};  // that a call may take
  std::uint64_t memory_mb = 0;
  bool request_buffering = true;  // false: a call's body comes while the call runs
  bool on_trial = false;          // no worker has loaded this version
};

// Fails with invalid, reason `bad_frame`.
Result<Init> parse_init(std::string_view json);

}  // namespace sterna::native
