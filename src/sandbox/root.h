// The read-only root that all sandboxes of one zygote share: a small tmpfs with chosen parts of the host
// bound into it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace sterna::sandbox {

// Makes `source` (a directory of the host) visible read-only at `target` inside; both absolute.
struct Bind {
  std::string source;
  std::string target;
  bool operator==(const Bind&) const = default;
};

enum class Privilege : unsigned char { kRoot, kUser };

// Puts the calling process into a mount namespace of its own, without root also into a user namespace.
// Single-threaded callers only.
Result<Privilege> enter_private_mounts();

// In a sandbox: the resolv.conf of functions that may reach named hosts only.
inline constexpr const char* kOwnResolverFile = "/etc/resolv.own.conf";

// The file that sandboxes get as their resolv.conf.
std::string resolver_file();

// Builds the root at `directory`, an existing empty directory, in the caller's own mount namespace: /usr, the
// links of a merged-usr system, chosen files of /etc with a passwd of its own, /dev with the harmless
// devices, and empty /function, /tmp, /proc, /dev/shm, /run/secrets to mount on.
// With root also the folder that keeps a whole /proc out of sight (proc_view.h). Fails with io, naming the
// step.
Status build_root(const std::string& directory, const std::vector<Bind>& binds, Privilege privilege);

}  // namespace sterna::sandbox
