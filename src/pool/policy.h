// The pool's decisions as pure functions: which worker takes a call, when another worker is started. Tested
// without I/O.
#pragma once

#include <cstddef>
#include <span>

#include "base/clock.h"

namespace sterna::pool {

// A call may wait that long behind short runs: waking another process for it would cost all callers more.
inline constexpr Duration kPrefetchWait = std::chrono::milliseconds(2);
// A call that waits longer than this justifies another worker.
inline constexpr Duration kPatience = std::chrono::milliseconds(10);
// Where workers run many calls at a time and no processor has time for another worker.
inline constexpr Duration kCrowdedPatience = std::chrono::milliseconds(100);
inline constexpr std::size_t kMaxPrefetch = 256;

// A moving average of how long runs take.
class RunTime {
 public:
  void add(Duration run) {
    average_ = known_ ? average_ + (run - average_) / 8 : run;
    known_ = true;
  }
  bool known() const { return known_; }
  Duration average() const { return average_; }

 private:
  Duration average_{};
  bool known_ = false;
};

// How much of a busy worker's time one call takes, where many run at once: a run is longer than that, because
// it waits for the others. Runs that wait for something else make it too long, never too short.
class Pace {
 public:
  // A call has ended, `since_last` after the one before it or after the worker became busy.
  void add(Duration since_last) {
    busy_ += since_last;
    if (++ends_ < kRemembered) return;
    busy_ /= 2;
    ends_ /= 2;
  }
  bool known() const { return ends_ > 0; }
  Duration each() const { return known() ? busy_ / ends_ : Duration::zero(); }

 private:
  // Ends come in bursts, all but the first of one at no distance: an average over fewer of them would swing.
  static constexpr Duration::rep kRemembered = 512;

  Duration busy_{};
  Duration::rep ends_ = 0;
};

struct WorkerView {
  std::size_t in_flight = 0;
  bool accepts = false;  // ready or starting, with a free slot
  bool starting = false;
  bool stalled = false;  // its present run took long: nothing is sent ahead to it
  MonotonicTime idle_since;
};

inline constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

// What a call costs the calls behind it.
struct Costs {
  std::size_t concurrency = 1;  // calls of a worker that run at once
  std::size_t cores = 1;        // of the machine
  bool has_free_core = false;   // by ProcessorWatch
  RunTime run;                  // looked at where one runs at a time
  Pace pace;                    // looked at where many do
};

// How long a call may wait before another worker is started, while `busy` workers have calls. Where many run
// at a time, one more process makes them faster only while a core is free for it beside the server's: else
// they would take turns.
Duration patience(std::size_t busy, const Costs& costs);

// Which worker takes the next call, or kNobody: it waits in line. `small` tells that the call may be taken
// back cheaply. While runs are short, calls gather at the busiest worker, more than run at once too: one
// wake-up and one write serve many of them.
std::size_t choose_worker(std::span<const WorkerView> workers, const Costs& costs, bool small);

struct Load {
  std::size_t waiting = 0;   // calls in line, and those sent to workers that are not ready yet
  Duration oldest_wait{};    // of those in line
  std::size_t starting = 0;  // workers that are not ready yet
  std::size_t workers = 0;   // all that may take calls, with the starting ones
  std::size_t concurrency = 1;
  std::size_t max_workers = 1;
  Duration patience = kPatience;
};

// How many workers to start now.
std::size_t workers_to_start(const Load& load, const RunTime& run);

// How long to wait before the next start after that many failed starts or crashes in a row: 0, then 100 ms
// doubling to 30 s.
Duration restart_delay(unsigned failures);

}  // namespace sterna::pool
