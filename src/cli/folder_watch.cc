#include "cli/folder_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;

// Editors save by writing the file, or by renaming another one to its name. IN_ATTRIB is for executable bits.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                  IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;

// What `sed -i` writes before it renames it, and what editors leave beside what they save.
bool is_temporary(std::string_view name) {
  constexpr std::string_view kSed = "sed";
  const bool of_sed =
      name.size() == kSed.size() + 6 && name.starts_with(kSed) && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      });
  return of_sed || name.ends_with('~') || name == "4913";
}

bool is_ignored(const fs::path& name) {
  return is_temporary(name.native()) || name.native().starts_with('.') || name == "node_modules" ||
         name == "__pycache__" || name.extension() == ".pyc";
}

// Without a slash at its end, which would hide its name.
fs::path full_path(const fs::path& folder) {
  std::error_code error;
  const fs::path full = fs::absolute(folder, error).lexically_normal();
  return full.has_filename() ? full : full.parent_path();
}

fs::path folder_around(const fs::path& folder) {
  return full_path(folder).parent_path();
}

std::unexpected<Error> watch_error(const fs::path& folder, int number) {
  if (number == ENOSPC) {
    return fail(Code::kExhausted, Component::kGateway, "too_many_folders",
                fmt::format("{} cannot be watched: the limit fs.inotify.max_user_watches is reached",
                            folder.native()));
  }
  return bad_usage(fmt::format("{} cannot be watched: {}", folder.native(), std::strerror(number)));
}

}  // namespace

Result<FolderWatch> FolderWatch::open(const fs::path& path) {
  std::error_code error;
  const bool is_file = fs::is_regular_file(path, error);
  const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
  UniqueFd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return watch_error(path, errno);
  FolderWatch watch(std::move(inotify), is_file ? parent : path, is_file ? path.filename().native() : "");
  if (const Status added = is_file ? watch.add(parent) : watch.add_tree(path); !added)
    return std::unexpected(added.error());
  if (watch.paths_.empty()) return watch_error(path, ENOENT);
  constexpr std::uint32_t kComesAndGoes = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
  if (!is_file)
    watch.parent_ = inotify_add_watch(watch.inotify_.get(), folder_around(path).c_str(), kComesAndGoes);
  return watch;
}

Status FolderWatch::add(const fs::path& folder) {
  if (paths_.size() == kMaxWatchedFolders) {
    return fail(Code::kExhausted, Component::kGateway, "too_many_folders",
                fmt::format("{} holds more than {} folders", folder_.native(), kMaxWatchedFolders));
  }
  const int number = inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
  if (number >= 0) {
    paths_.insert_or_assign(number, folder);
  } else if (errno != ENOENT) {  // a folder that is gone again is no failure
    return watch_error(folder, errno);
  }
  return {};
}

// The watch comes before the look at what is inside, so that nothing falls between.
Status FolderWatch::add_tree(const fs::path& folder) {
  if (auto added = add(folder); !added) return added;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_directory(ignored) || at->is_symlink(ignored) || is_ignored(at->path().filename())) continue;
    if (auto added = add_tree(at->path()); !added) return added;
  }
  return {};
}

Result<std::set<std::string>> FolderWatch::take() {
  std::set<std::string> changed;
  alignas(inotify_event) std::array<char, 16U << 10> buffer{};
  while (true) {
    const ssize_t count = read(inotify_.get(), buffer.data(), buffer.size());
    if (count <= 0) return changed;
    for (ssize_t at = 0; at < count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) changed.insert(".");
      if (event->wd == parent_ && event->len > 0 && event->name == full_path(folder_).filename()) {
        changed.insert(".");
        const bool is_new = (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0;
        if (const Status added = is_new ? add_tree(folder_) : Status(); !added)
          return std::unexpected(added.error());
      }
      const auto folder = paths_.find(event->wd);
      if (folder == paths_.end()) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        paths_.erase(folder);
        continue;
      }
      if (event->len == 0) continue;  // of the folder itself: its parent tells the same
      const std::string_view name(event->name);
      if (is_ignored(name) || (!only_.empty() && name != only_)) continue;
      const bool is_folder = (event->mask & IN_ISDIR) != 0;
      const bool is_new = (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0;
      const fs::path path = folder->second / name;
      if (is_folder && is_new) {
        if (auto added = add_tree(path); !added) return std::unexpected(added.error());
      }
      // What is written into a new file is told when it is closed.
      if (is_folder || (event->mask & IN_CREATE) == 0)
        changed.insert(path.lexically_relative(folder_).generic_string());
    }
  }
}

Result<std::set<std::string>> take_settled(FolderWatch& watch, std::chrono::milliseconds quiet,
                                           std::chrono::milliseconds limit, std::set<std::string> changed) {
  const SystemClock clock;
  const MonotonicTime began = clock.now();
  pollfd waiting{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  while (true) {
    auto more = watch.take();
    if (!more) return more;
    changed.merge(*more);
    if (changed.empty() || clock.now() - began >= limit) return changed;
    if (poll(&waiting, 1, static_cast<int>(quiet.count())) == 0) return changed;
  }
}

}  // namespace sterna::cli
