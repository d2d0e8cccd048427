// What builds print: gathered in memory while they run, kept on disk afterwards, one file a version
// (GET {fn}/builds/{version}/logs).
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace sterna::logs {

enum class BuildStream : std::uint8_t { kOutput, kPlatform };  // the tool's words, Sterna's own
std::string_view to_string(BuildStream stream);                // "output"

class BuildLogFollower {
 public:
  virtual ~BuildLogFollower() = default;
  // One record with its line feed. Must not end a subscription.
  virtual void on_build_line(std::string_view ndjson) = 0;
  // The build has ended: nothing comes any more, and the follower is forgotten.
  virtual void on_build_end() = 0;
};

class BuildLogs {
 public:
  // `dir` is made when the first build ends. Of one log `max_bytes` stay: its beginning and its end, with a
  // record between them that tells how many lines are left out. `clock` must outlive it.
  BuildLogs(std::filesystem::path dir, std::uint64_t max_bytes, const Clock& clock);

  // Event loop only. `function_id` is letters and digits. Begins anew when there is one.
  void begin(const std::string& function_id, std::int64_t version);
  // `lines` may hold several, whole ones. Nothing happens when no log is open.
  void append(const std::string& function_id, std::int64_t version, BuildStream stream,
              std::string_view lines);
  // Ends the followers and answers the whole log, for `save`. It stays in memory until `forget`.
  std::string end(const std::string& function_id, std::int64_t version);
  void forget(const std::string& function_id, std::int64_t version);
  // What has been logged so far when the log is in memory.
  std::optional<std::string> recent(const std::string& function_id, std::int64_t version) const;
  // Tells `follower` what comes from now on, until the end or `unfollow`. False when no build runs.
  bool follow(const std::string& function_id, std::int64_t version, BuildLogFollower& follower);
  void unfollow(BuildLogFollower& follower);
  // One record as followers get them, with its line feed.
  std::string record(BuildStream stream, std::string_view text) const;

  // The disk, any thread but the loop's: save removes those of versions that are `kept` or more behind.
  Status save(const std::string& function_id, std::int64_t version, std::string_view text,
              std::int64_t kept) const;
  // Fails with not_found, reason `build_not_found`.
  Result<std::string> load(const std::string& function_id, std::int64_t version) const;
  void remove(const std::string& function_id) const;
  // Removes those of functions that `lives` does not know; for a start.
  void keep_only(const std::function<bool(const std::string& function_id)>& lives) const;

 private:
  struct Log {
    std::string head;
    std::deque<std::string> tail;
    std::uint64_t tail_bytes = 0;
    std::uint64_t left_out = 0;  // lines between them
    bool ended = false;
    std::list<BuildLogFollower*> followers;
  };
  using Key = std::pair<std::string, std::int64_t>;

  std::string text_of(const Log& log) const;
  void add(Log& log, std::string line) const;
  std::filesystem::path path_of(const std::string& function_id, std::int64_t version) const;

  const std::filesystem::path dir_;
  const std::uint64_t half_bytes_;
  const Clock& clock_;
  std::map<Key, Log> logs_;
};

}  // namespace sterna::logs
