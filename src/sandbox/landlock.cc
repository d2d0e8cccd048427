#include "sandbox/landlock.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "base/unique_fd.h"

namespace sterna::sandbox {
namespace {

// <linux/landlock.h> of the system that this is compiled on may be older than the kernel that it runs on:
// numbers of the kernel's interface that the header may lack are here.
struct RulesetAttributes {
  std::uint64_t handled_files = 0;
  std::uint64_t handled_network = 0;
  std::uint64_t scoped = 0;
};
struct [[gnu::packed]] PathAttributes {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;
constexpr int kRefersFrom = 2;  // versions that know these rights
constexpr int kTruncatesFrom = 3;
constexpr int kScopesFrom = 6;

constexpr std::uint64_t kScopeAbstractSockets = 1U << 0U;
constexpr std::uint64_t kScopeSignals = 1U << 1U;

constexpr std::uint64_t kWriteFile = 1U << 1U;
constexpr std::uint64_t kMakeCharacterDevice = 1U << 6U;
constexpr std::uint64_t kMakeBlockDevice = 1U << 11U;
// Remove a folder or a file; make a folder, file, socket, pipe or symbolic link.
constexpr std::uint64_t kArrange =
    1U << 4U | 1U << 5U | 1U << 7U | 1U << 8U | 1U << 9U | 1U << 10U | 1U << 12U;
constexpr std::uint64_t kRefer = 1U << 13U;
constexpr std::uint64_t kTruncate = 1U << 14U;

// The first members only, as many as the version knows.
int create_ruleset(int version, const RulesetAttributes& attributes) {
  const std::size_t size =
      version >= kScopesFrom ? sizeof attributes : offsetof(RulesetAttributes, handled_network);
  const long rules = ::syscall(SYS_landlock_create_ruleset, &attributes, size, 0U);
  return rules < 0 ? -errno : static_cast<int>(rules);
}

int allow_beneath(int rules, const char* path, std::uint64_t rights) {
  const UniqueFd folder(::open(path, O_PATH | O_CLOEXEC));
  if (!folder) return errno;
  const PathAttributes attributes{.allowed = rights, .parent = folder.get()};
  return ::syscall(SYS_landlock_add_rule, rules, kPathBeneath, &attributes, 0U) == 0 ? 0 : errno;
}

std::uint64_t scopes(int version) {
  return version >= kScopesFrom ? kScopeAbstractSockets | kScopeSignals : 0;
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, kAskVersion);
  return static_cast<int>(std::max(version, 0L));
}

int make_write_rules(int version, FunctionFiles function) {
  const std::uint64_t touch = kWriteFile | (version >= kTruncatesFrom ? kTruncate : 0);
  const std::uint64_t write = touch | kArrange | (version >= kRefersFrom ? kRefer : 0);
  UniqueFd rules(create_ruleset(version, {.handled_files = write | kMakeCharacterDevice | kMakeBlockDevice,
                                          .handled_network = 0,
                                          .scoped = scopes(version)}));
  if (rules.get() < 0) return rules.get();
  const std::uint64_t for_function = function == FunctionFiles::kWritable ? write : 0;
  const struct {
    const char* path;
    std::uint64_t rights;
  } places[] = {
      {"/tmp", write}, {"/dev/shm", write}, {"/dev", touch}, {"/proc", touch}, {"/function", for_function}};
  for (const auto& place : places) {
    if (place.rights == 0) continue;
    if (const int error = allow_beneath(rules.get(), place.path, place.rights)) return -error;
  }
  return rules.release();
}

int make_scope_rules(int version) {
  if (version < kScopesFrom) return -ENOMSG;
  return create_ruleset(version, {.handled_files = 0, .handled_network = 0, .scoped = scopes(version)});
}

int restrict_by(int rules) {
  return ::syscall(SYS_landlock_restrict_self, rules, 0U) == 0 ? 0 : errno;
}

}  // namespace sterna::sandbox
