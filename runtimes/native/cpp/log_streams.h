// What C++ code prints becomes its call's log: std::cout, std::cerr, std::clog, and C's stdout and stderr go
// to the channel. Text that is written to the descriptors 1 and 2 takes the output pipe.
#pragma once

#include <cstdint>
#include <mutex>

#include "worker/channel.h"

namespace sterna::native {

// Once in a process. Both must live as long as it; `mutex` guards the channel.
void replace_log_streams(worker::Channel& channel, std::mutex& mutex);

// What C's streams hold back. Not with the mutex held.
void flush_log_streams();

// While it lives, what this thread prints belongs to the call.
class LogOwner {
 public:
  explicit LogOwner(std::uint64_t call);
  LogOwner(const LogOwner&) = delete;
  LogOwner& operator=(const LogOwner&) = delete;
  ~LogOwner();
};

}  // namespace sterna::native
