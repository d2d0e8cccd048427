// One thread for work that blocks, so that the event loop need not: jobs run one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "net/loop.h"

namespace sterna::net {

// Jobs of one lane run in order; lanes that have some take turns, so that much of one does not hold up the
// others. The lane without a name is the platform's own.
class Background {
 public:
  Background();
  ~Background() { end(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Any thread. After `end` jobs are dropped.
  void run(Job job) { run({}, std::move(job)); }
  void run(std::string_view lane, Job job);
  // Jobs that have not begun. Any thread.
  std::size_t waiting() const;
  std::size_t waiting(std::string_view lane) const;

  // Waits for the job that runs and for those of the platform's own lane, and drops the others. For before
  // what the jobs use goes away.
  void end();

 private:
  using Lanes = std::map<std::string, std::deque<Job>, std::less<>>;  // none is empty

  void work();
  Job next();  // expects mutex_ to be held

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Lanes lanes_;              // guarded by mutex_
  std::string last_;         // guarded by mutex_; the lane whose turn it was
  std::size_t waiting_ = 0;  // guarded by mutex_
  bool ending_ = false;      // guarded by mutex_
  std::thread thread_;       // last: it uses the others
};

}  // namespace sterna::net
