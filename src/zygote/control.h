// The control messages between server and zygote as C++ types and as JSON. The meaning of each is in
// CONTROL.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/plan.h"

namespace sterna::zygote {

inline constexpr std::uint32_t kProgramUids = 65'536;

// Server to zygote.
struct Configure {
  std::string root_dir;  // an existing empty directory that the zygote, in its own mount namespace, builds
                         // the sandbox root on
  sandbox::CgroupLayout cgroups;
  std::uint32_t program_uids = 0;  // the first of kProgramUids host users, for workers that are programs
  sandbox::Isolation isolation = sandbox::Isolation::kFull;
};
struct Spares {
  Network network = Network::kNone;
  std::uint32_t count = 0;
};
struct Start {
  std::string worker;
  sandbox::SandboxPlan plan;
  std::string parent;  // the paused worker that it is forked from; empty: none
};
struct Kill {
  std::string worker;
};
struct Ping {};
using Request = std::variant<Configure, Spares, Start, Kill, Ping>;

// Zygote to server.
struct Ready {
  std::string runtime;
};
struct Failed {
  std::string error;  // why no sandbox can be made here at all; the zygote exits
};
struct Started {
  std::string worker;
  pid_t pid = 0;       // the worker, as the server sees it
  bool spare = false;  // a spare was ready for it
  UniqueFd listener;   // seccomp notifications, with network egress only
};
struct Exited {
  std::string worker;
  std::optional<int> code;
  std::optional<int> signal;
  bool oom = false;   // killed by the kernel for memory
  std::string error;  // the sandbox could not be entered: which step, why; empty otherwise
};
struct Pong {};
using Report = std::variant<Ready, Failed, Started, Exited, Pong>;

std::string encode(const Request& request);
// Fails with invalid, reason `bad_control_message` or `bad_sandbox_plan`.
Result<Request> decode_request(std::string_view bytes);

// Without the descriptors.
std::string encode(const Report& report);
Result<Report> decode_report(std::string_view bytes);

}  // namespace sterna::zygote
