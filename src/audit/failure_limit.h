// How many failed calls of one app the audit log keeps: what is refused again and again must not fill it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "audit/entry.h"
#include "base/clock.h"

namespace sterna::audit {

// Any thread; never waits for the disk.
class FailureLimit {
 public:
  // `per_minute` of each app are kept. `clock` must outlive it.
  FailureLimit(const Clock& clock, std::int64_t per_minute) : clock_(clock), per_minute_(per_minute) {}

  // Whether the failure is to be kept. Otherwise it has been counted as one that is left out.
  bool admits(const Entry& failed);
  // Counts one that cannot be kept for another reason.
  void leave_out(const Entry& failed);

  // Forgets what is left out and answers an entry for each app whose minute is over, or for all.
  std::vector<Entry> take_over();
  std::vector<Entry> take_all();

 private:
  struct Minute {
    MonotonicTime began;
    std::int64_t kept = 0;
    Entry left_out;  // the first of them, and how many
  };
  Minute& minute_of(const Entry& failed);
  static void count(Minute& minute, const Entry& failed);
  void close(Minute& minute);
  static bool is_over(const Minute& minute, MonotonicTime now);

  const Clock& clock_;
  const std::int64_t per_minute_;
  std::mutex mutex_;
  // Guarded by mutex_: of apps that have failed since take_over was called, which every entry and every look
  // at the log does.
  std::map<std::string, Minute> minutes_;
  std::vector<Entry> over_;
};

}  // namespace sterna::audit
