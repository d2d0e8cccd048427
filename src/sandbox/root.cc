#include "sandbox/root.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/files.h"
#include "sandbox/network_visit.h"
#include "sandbox/proc_view.h"

namespace sterna::sandbox {
namespace {

constexpr std::size_t kMaxCopyBytes = 1 << 20;

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/:/usr/sbin/nologin\n"
    "function:x:1000:1000:function:/tmp:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
constexpr std::string_view kGroup = "root:x:0:\nfunction:x:1000:\nnogroup:x:65534:\n";

std::unexpected<Error> failed(const std::string& step) {
  return fail_errno(Component::kWorker, "sandbox root: " + step, errno);
}

// Makes every missing directory of `path` below `base`.
bool make_directories(const std::string& base, std::string_view path) {
  std::string made = base;
  for (const std::string_view part : split(path, '/')) {
    made += '/';
    made += part;
    if (::mkdir(made.c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

bool make_file(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Binds one tree with attributes set on every mount in it. `flags`: MOUNT_ATTR_*.
bool bind_tree(const std::string& source, const std::string& target, std::uint64_t flags) {
  const UniqueFd tree(
      ::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) return false;
  mount_attr attributes{};
  attributes.attr_set = flags;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    return false;
  return ::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

constexpr std::uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

Status bind_directory(const std::string& root, const Bind& bind) {
  if (!make_directories(root, bind.target) || !bind_tree(bind.source, root + bind.target, kReadOnly)) {
    return failed("bind " + bind.source);
  }
  return {};
}

// /bin, /lib, ... are links into /usr on a merged system, directories on an older one.
Status add_system(const std::string& root) {
  if (auto status = bind_directory(root, {"/usr", "/usr"}); !status) return status;
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    struct stat info{};
    if (::lstat(name, &info) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      char link[256] = {};
      const ssize_t length = ::readlink(name, link, sizeof link - 1);
      if (length <= 0 || ::symlink(link, (root + name).c_str()) != 0) return failed(name);
    } else if (auto status = bind_directory(root, {name, name}); !status) {
      return status;
    }
  }
  return {};
}

// Certificates, and what languages and libraries in /usr are set up by: without it they do not start, or only
// half. What others than root may not read there a function cannot either.
constexpr const char* kEtcFolders[] = {"/etc/ssl/certs", "/etc/alternatives", "/etc/java-*",       "/etc/php",
                                       "/etc/perl",      "/etc/fonts",        "/etc/ImageMagick-*"};

std::vector<std::string> directories_like(const char* pattern) {
  std::vector<std::string> found;
  glob_t matches{};
  if (::glob(pattern, 0, nullptr, &matches) == 0) {
    for (const char* path : std::span(matches.gl_pathv, matches.gl_pathc)) {
      if (is_directory(path)) found.emplace_back(path);
    }
  }
  ::globfree(&matches);
  return found;
}

// Small files are copied: every bind is one more mount to clone for every sandbox.
Status add_etc(const std::string& root) {
  if (!make_directories(root, "/etc/ssl")) return failed("/etc");
  for (const char* name : {"ld.so.cache", "hosts", "nsswitch.conf", "gai.conf", "localtime", "timezone",
                           "mime.types", "protocols", "services", "ssl/openssl.cnf"}) {
    const auto text = read_file(std::string("/etc/") + name, kMaxCopyBytes);
    if (text && !make_file(root + "/etc/" + name, *text)) return failed(name);
  }
  // A machine without the file asks itself; there must be one to mount another on.
  const std::string resolvers = read_file(resolver_file()).value_or("");
  const std::string own_resolver = std::string("nameserver ") + kOwnResolver + "\n";
  if (!make_file(root + "/etc/resolv.conf", resolvers) || !make_file(root + kOwnResolverFile, own_resolver))
    return failed("resolv.conf");
  if (!make_file(root + "/etc/passwd", kPasswd) || !make_file(root + "/etc/group", kGroup))
    return failed("passwd");
  for (const char* pattern : kEtcFolders) {
    for (const std::string& name : directories_like(pattern)) {
      if (auto status = bind_directory(root, {name, name}); !status) return status;
    }
  }
  return {};
}

Status add_dev(const std::string& root) {
  if (!make_directories(root, "/dev/shm")) return failed("/dev");
  for (const char* name : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    if (!make_file(root + name, "") || !bind_tree(name, root + name, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) {
      return failed(name);
    }
  }
  const std::pair<const char*, const char*> links[] = {{"/proc/self/fd", "/dev/fd"},
                                                       {"/proc/self/fd/0", "/dev/stdin"},
                                                       {"/proc/self/fd/1", "/dev/stdout"},
                                                       {"/proc/self/fd/2", "/dev/stderr"}};
  for (const auto& [target, name] : links) {
    if (::symlink(target, (root + name).c_str()) != 0) return failed(name);
  }
  return {};
}

Status add_empty(const std::string& root) {
  for (const char* name : {"/function", "/tmp", "/proc", "/run/secrets", "/var/empty"}) {
    if (!make_directories(root, name)) return failed(name);
  }
  if (::symlink("/tmp", (root + "/var/tmp").c_str()) != 0) return failed("/var/tmp");
  return {};
}

// One line "inner outer 1" for each of uid and gid.
bool map_self(uid_t uid, gid_t gid) {
  return write_file("/proc/self/setgroups", "deny") == 0 &&
         write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1") == 0 &&
         write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1") == 0;
}

}  // namespace

// A resolver on the host's loopback cannot be reached from inside; systemd-resolved keeps the real ones
// beside its stub.
std::string resolver_file() {
  const auto text = read_file("/etc/resolv.conf");
  const bool stub = text && text->find("nameserver 127.") != std::string::npos;
  const char* real = "/run/systemd/resolve/resolv.conf";
  return stub && ::access(real, R_OK) == 0 ? real : "/etc/resolv.conf";
}

Result<Privilege> enter_private_mounts() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  const Privilege privilege = uid == 0 ? Privilege::kRoot : Privilege::kUser;
  const int flags = CLONE_NEWNS | (privilege == Privilege::kUser ? CLONE_NEWUSER : 0);
  if (::unshare(flags) != 0) return failed("unshare");
  if (privilege == Privilege::kUser && !map_self(uid, gid)) return failed("map the user");
  // Slave: mounts of the host still arrive here (a bundle on a disk mounted later), ours do not leave.
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return failed("make mounts private");
  return privilege;
}

Status build_root(const std::string& directory, const std::vector<Bind>& binds, Privilege privilege) {
  // The modes are for the function, who is another user, whatever umask the server was started with.
  ::umask(022);
  if (::mount("sterna", directory.c_str(), "tmpfs", MS_NOSUID, "mode=0755,size=8m,nr_inodes=4096") != 0) {
    return failed("mount a tmpfs");
  }
  for (auto* step : {&add_system, &add_etc, &add_dev, &add_empty}) {
    if (auto status = step(directory); !status) return status;
  }
  if (privilege == Privilege::kRoot) {
    // A folder of root's, whom no function can become; without root no sandbox has replicas.
    const std::string hidden = directory + "/" + kHiddenProc;
    if (!make_directories(directory, kHiddenProc) ||
        ::chmod(hidden.substr(0, hidden.rfind('/')).c_str(), 0700) != 0)
      return failed("/run/sandbox");
  }
  for (const Bind& bind : binds) {
    if (auto status = bind_directory(directory, bind); !status) return status;
  }
  if (::mount(nullptr, directory.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | MS_NOSUID, nullptr) != 0) {
    return failed("make it read-only");
  }
  return {};
}

}  // namespace sterna::sandbox
