// What one worker may see and use: plain data, decided by the pool, applied by the zygote and its children.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/network.h"
#include "sandbox/egress_rules.h"

namespace sterna::sandbox {

// Inside the sandbox every function is this user and group.
inline constexpr std::uint32_t kInnerUid = 1000;
inline constexpr std::uint32_t kInnerGid = 1000;

inline constexpr std::uint64_t kMiB = 1ULL << 20;

// The same for all: size of /dev/shm, and files in it and in /tmp.
inline constexpr std::uint64_t kShmBytes = 16 * kMiB;
inline constexpr unsigned kMaxTmpFiles = 65'536;

// Whether there are walls at all; one answer for the whole server.
enum class Isolation : std::uint8_t {
  kFull,
  // For development and to measure what the walls cost. A function has its own view of files and of process
  // ids, which its layout and the clean end of a worker hang on (without root also the user namespace that
  // this takes), and the size of its /tmp; nothing else.
  kNone,
};

struct SandboxPlan {
  std::string bundle_dir;  // absolute host path, seen as /function; its files must be readable by others
  bool bundle_writable = false;  // for builds; else /function is read-only
  std::uint32_t host_uid = 0;  // who the function's processes are for the host; its own per function, never 0
  std::uint32_t host_gid = 0;  // (without root: ignored, they are the server's user)
  std::uint64_t memory_bytes = 128 * kMiB;  // memory with swap
  double cpus = 1.0;
  std::uint32_t max_pids = 64;                     // processes and threads of the function
  std::uint64_t tmp_bytes = 64 * kMiB;             // size of /tmp; what is in it counts as memory too
  std::uint32_t max_open_files = 1024;             // per process
  std::uint64_t io_bytes_per_second = 256 * kMiB;  // from each disk, and to it; 0: no limit
  Network network = Network::kNone;
  EgressPolicy egress;  // with network egress
  std::string hostname = "function";
  bool may_pause = false;  // may become the parent of its function's further workers

  bool operator==(const SandboxPlan&) const = default;
};

// No file can use more than this anyway; it stops sparse giants.
constexpr std::uint64_t max_file_bytes(std::uint64_t tmp_bytes, std::uint64_t memory_bytes) {
  return std::max(tmp_bytes, memory_bytes);
}

// Fails with invalid, reason `bad_sandbox_plan`, naming the field.
Status validate(const SandboxPlan& plan);

nlohmann::json to_json(const SandboxPlan& plan);
// Reads and validates; unknown members are refused. Fails like `validate`.
Result<SandboxPlan> plan_from_json(const nlohmann::json& json);

// For people: one line a field.
std::string to_string(const SandboxPlan& plan);

}  // namespace sterna::sandbox
