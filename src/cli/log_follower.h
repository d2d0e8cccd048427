// Follows a function's log with its invocations on a thread of its own, through restarts of the server.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "cli/api_client.h"

namespace sterna::cli {

class LogFollower {
 public:
  // `on_line` is called on the follower's thread with each NDJSON line.
  LogFollower(const Target& target, std::string name, std::function<void(std::string_view)> on_line);
  ~LogFollower();
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

  const std::string& name() const { return name_; }
  // Whether it has the server's ear: what happens from then on is seen.
  bool wait_until_following(std::chrono::milliseconds limit);

 private:
  void run();

  const Target target_;
  const std::string name_;
  const std::function<void(std::string_view)> on_line_;
  Api api_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool following_ = false;  // guarded by mutex_
  bool ending_ = false;     // guarded by mutex_
  std::thread thread_;
};

}  // namespace sterna::cli
