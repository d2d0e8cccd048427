// Hands the lines of the server's own log to its reader in a thread, so that a reader that stands still stops
// nobody else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"

namespace sterna {

class LogWriter {
 public:
  // As much waits for a reader; what comes then is dropped and counted.
  static constexpr std::size_t kQueueBytes = 1U << 20U;
  // The line, with its end, that says how many were dropped in its place. Called in the thread.
  using TellLost = std::function<std::string(std::uint64_t lines)>;

  // Writes to `fd`, which stays open for as long as the process runs. Throws std::system_error when there is
  // no thread to be had. A process that forks has no thread in the child: nothing may be put there.
  LogWriter(int fd, TellLost tell_lost);
  // Waits for at most `kPatience` until everything is written.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Takes one line, with its end. Never waits for the reader. Any thread.
  void put(std::string_view line);
  // Waits for at most `limit` until everything is written. Any thread.
  void flush(Duration limit);
  // Lines that were dropped and of which the reader has not been told. Any thread.
  std::uint64_t lost() const { return shared_->lost; }

  static constexpr Duration kPatience = std::chrono::seconds(1);

 private:
  struct Shared {
    const int fd;
    const TellLost tell_lost;
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable done;
    std::string queued;                   // guarded by mutex, like all below
    std::atomic<std::uint64_t> lost = 0;  // written below the mutex only
    bool writing = false;
    bool ending = false;
    bool ended = false;
  };
  static void work(Shared& shared);

  // Shared with the thread, which is left behind when it waits for the reader at the end.
  const std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace sterna
