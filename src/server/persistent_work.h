// Work on the registry that a disk must not lose: what fails is done again every second until it succeeds.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/background.h"
#include "net/loop.h"

namespace sterna::server {

class PersistentWork {
 public:
  // Not found and conflict are ends, too: what it was for is gone, or somebody else was quicker.
  using Job = std::function<Status()>;

  // Both outlive it.
  PersistentWork(net::Loop& loop, net::Background& thread);
  // What waits is given up; what runs on the thread meanwhile goes on.
  ~PersistentWork();
  PersistentWork(const PersistentWork&) = delete;
  PersistentWork& operator=(const PersistentWork&) = delete;

  // On the thread. Does the job at once, or, while earlier work on the same subject waits, after that. Of the
  // jobs on one subject that do the same `what`, only the last one waits.
  void run(const std::string& subject, const std::string& what, Job job);

  // Subjects with work that waits. Any thread.
  std::size_t waiting() const { return state_->count; }

 private:
  struct Item {
    std::string what;
    Job job;
  };
  // The thread may come back to it after the end.
  struct State {
    std::map<std::string, std::vector<Item>> waiting;  // by subject, in order; thread only
    std::string last_tried;                            // a subject; thread only
    std::atomic<std::size_t> count = 0;
    std::atomic<bool> retrying = false;
    std::atomic<bool> ended = false;
  };

  static bool is_done(const Status& status);
  static void keep(State& state, const std::string& subject, const std::string& what, Job job);
  static bool retry(State& state, const std::string& subject);
  static void retry_all(State& state);
  void tick();

  net::Loop& loop_;
  net::Background& thread_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  net::Loop::TimerId timer_;
};

}  // namespace sterna::server
