// Follows a log on a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "cli/api_client.h"

namespace sterna::cli {

// kStopped: through restarts of the server; kEnd: of the log, or of the connection.
enum class FollowUntil : std::uint8_t { kStopped, kEnd };

class LogFollower {
 public:
  // `on_line` is called on the follower's thread with each NDJSON line of the log at `path`.
  LogFollower(const Target& target, std::string path, FollowUntil until,
              std::function<void(std::string_view)> on_line);
  ~LogFollower();
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

  // Whether it has the server's ear: what happens from then on is seen.
  bool wait_until_following(std::chrono::milliseconds limit);
  bool wait_until_ended(std::chrono::milliseconds limit);

 private:
  void run();

  const Target target_;
  const std::string path_;
  const FollowUntil until_;
  const std::function<void(std::string_view)> on_line_;
  Api api_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool following_ = false;  // guarded by mutex_
  bool ending_ = false;     // guarded by mutex_
  bool ended_ = false;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace sterna::cli
