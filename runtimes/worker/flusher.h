// Sends answers that wait for those of the next calls when one of these turns out slow: the server rings the
// bell of the claim page, a thread of its own takes the guard and flushes the channel.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <thread>

#include "worker/channel.h"

namespace sterna::worker {

class Flusher {
 public:
  // The channel must outlive it.
  explicit Flusher(Channel& channel) : channel_(channel) {}
  // Needs the guard; gives it away while the thread ends.
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  // Whether the bell is heard, so that answers may be held back. The first call starts the thread: workers
  // that never hold an answer do without.
  bool listens() { return thread_ != nullptr || (!failed_ && start()); }

 private:
  bool start();
  void run(std::uint32_t heard);

  Channel& channel_;
  std::unique_ptr<std::thread> thread_;
  pid_t owner_ = 0;  // the process that has the thread: a fork of it has not
  bool failed_ = false;
  std::atomic<bool> stopping_ = false;
};

}  // namespace sterna::worker
