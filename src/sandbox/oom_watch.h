// Tells that the kernel has killed in a control group for memory, where it kills one process at a time and
// leaves the group's others alone: with version 1. With version 2 it ends the group as a whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace sterna::sandbox {

// When to look whether a kill has come. The kernel tells that memory is used up before it looks for whom to
// kill, and first writes a long report to its log: the kill comes a moment later, or never, when a process
// that was ending anyway has made room. So it is looked for more and more seldom, for a second. Pure.
class OomLooks {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void begin(Time now);
  // Time::max(): not before it begins again.
  Time due() const { return due_; }
  // One look was in vain.
  void go_on(Time now);
  void end() { due_ = Time::max(); }

 private:
  Time began_{};
  Time due_ = Time::max();
};

// Holds one descriptor. Single thread.
class OomWatch {
 public:
  using Time = OomLooks::Time;

  // `directory`: a group's of the memory controller, version 1. Nullopt when the kernel does not tell, or
  // not this process.
  static std::optional<OomWatch> open(const std::string& directory);

  int fd() const { return event_.get(); }  // readable when the group's memory is used up
  void on_readable(Time now);

  Time due() const { return looks_.due(); }
  // Whether the kernel has killed a process of the group. Call when it is due.
  bool look(Time now);

 private:
  OomWatch(UniqueFd event, std::string control) : event_(std::move(event)), control_(std::move(control)) {}

  UniqueFd event_;
  std::string control_;  // the file with the count
  OomLooks looks_;
};

}  // namespace sterna::sandbox
