// Says which workers are to end because the kernel has killed in their groups for memory, where it does not
// end the whole group itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox/oom_watch.h"

namespace sterna::zygote {

// Single thread. As many entries as there are workers.
class OomGuard {
 public:
  using Time = sandbox::OomWatch::Time;

  // Nothing happens without a watch.
  void add(const std::string& worker, std::optional<sandbox::OomWatch> watch);
  void remove(const std::string& worker);

  // To poll for reading.
  std::vector<int> fds() const;
  void on_readable(int fd, Time now);

  // When to call `take_killed` next; Time::max(): not before something was readable.
  Time due() const;
  // The workers in whose groups a process was killed, each once: they are guarded no more.
  std::vector<std::string> take_killed(Time now);

 private:
  struct Guarded {
    std::string worker;
    sandbox::OomWatch watch;
  };
  std::vector<Guarded> guarded_;
};

}  // namespace sterna::zygote
