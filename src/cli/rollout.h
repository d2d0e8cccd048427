// What `deploy` and `rollback` do with a new version: show its build, wait until it runs, say how it ended.
#pragma once

#include <chrono>
#include <string_view>

#include "cli/deployment.h"

namespace sterna::cli {

struct RolloutArgs {
  bool quiet = false;
  bool no_wait = false;
  std::string_view done;  // what was done to it, as a participle: "deployed"
  std::chrono::seconds timeout{120};
};

// `function` is the server's answer that speaks of the version. The exit status, or why the version failed,
// or does not run in time.
Result<int> see_through(Api& api, const Target& target, const Place& place, api::Json function,
                        const RolloutArgs& args);

}  // namespace sterna::cli
