// One thread for work that blocks, so that the event loop need not: jobs run one after the other, in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "net/loop.h"

namespace sterna::net {

class Background {
 public:
  Background();
  // Runs what is queued, then ends.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Any thread.
  void run(Job job);
  // Jobs that have not begun. Any thread.
  std::size_t waiting() const;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;  // guarded by mutex_
  bool ending_ = false;   // guarded by mutex_
  std::thread thread_;    // last: it uses the others
};

}  // namespace sterna::net
