// A process that a worker starts for user code, in a process group of its own, watched by the event loop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "native/environment.h"
#include "net/loop.h"

namespace sterna::native {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  // Both ends close on exec. Fails with io.
  static Result<Pipe> open();
};

class Child final : public net::EventHandler {
 public:
  // The descriptors that the program gets as 0, 1 and 2; -1: /dev/null.
  struct Streams {
    int in = -1;
    int out = -1;
    int err = -1;
  };
  // Starts `argv`; `program` is what find_program answered. `on_exit` is called once with the wait status.
  // Fails with invalid, reason `command_failed`, saying what to do when the kernel cannot run the file.
  static Result<std::unique_ptr<Child>> start(net::Loop& loop, const std::string& program,
                                              const std::vector<std::string>& argv,
                                              const Environment& environment, const Streams& streams,
                                              std::function<void(int)> on_exit);
  ~Child() override;  // kills the group

  // All processes of the group; those that made groups of their own are left alone.
  void signal_group(int signal) const;
  bool ended() const { return ended_; }

 private:
  Child(net::Loop& loop, pid_t pid, UniqueFd pidfd, std::function<void(int)> on_exit);
  void on_event(std::uint32_t events) override;

  net::Loop& loop_;
  const pid_t pid_;
  UniqueFd pidfd_;
  std::function<void(int)> on_exit_;
  bool ended_ = false;
};

// "exited with status 3", "was ended by signal 11 (Segmentation fault)"
std::string describe_end(int wait_status);

}  // namespace sterna::native
