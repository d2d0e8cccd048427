#include "cli/log_follower.h"

#include "cli/log_reader.h"

namespace sterna::cli {
namespace {

constexpr std::chrono::milliseconds kPause{500};  // before it is tried again

}  // namespace

LogFollower::LogFollower(const Target& target, std::string path, FollowUntil until,
                         std::function<void(std::string_view)> on_line)
    : target_(target),
      path_(std::move(path)),
      until_(until),
      on_line_(std::move(on_line)),
      api_(target_),
      thread_([this] { run(); }) {}

LogFollower::~LogFollower() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  api_.interrupt();
  thread_.join();
}

bool LogFollower::wait_until_following(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return following_; });
}

bool LogFollower::wait_until_ended(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return ended_; });
}

// What the server refuses now (the function is gone, say) it may grant later.
void LogFollower::run() {
  const LogSinks sinks{.on_begin =
                           [this] {
                             const std::scoped_lock lock(mutex_);
                             following_ = true;
                             changed_.notify_all();
                           },
                       .on_line =
                           [this](std::string_view line) {
                             on_line_(line);
                             return true;
                           }};
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    (void)read_log(api_, path_, sinks);
    lock.lock();
    following_ = false;
    if (until_ == FollowUntil::kEnd) break;
    changed_.wait_for(lock, kPause, [this] { return ending_; });
  }
  ended_ = true;
  changed_.notify_all();
}

}  // namespace sterna::cli
