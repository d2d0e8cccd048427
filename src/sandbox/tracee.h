// Makes another process carry out system calls that only a process itself can, such as joining namespaces,
// while none of its own code runs. For a tracer that is trusted more than the process.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "sandbox/enter.h"

namespace sterna::sandbox {

// A process with one thread, stopped. The kernel kills it if its tracer ends before `release`. Every wait
// ends with EINTR when a signal handler runs in the tracer. No allocation.
class Tracee {
 public:
  using Arguments = std::array<std::uint64_t, 5>;

  // Whether this can be done on this machine at all.
  static bool supported();

  // Stops `pid`; the caller may read its memory then. Afterwards, whatever happens, kill the process or
  // `release` it.
  StepError stop(pid_t pid);

  // Lets it carry out one system call. What the process's own code could do meanwhile is nothing: another
  // call than this one is an error. `*result` is the call's answer or -errno.
  StepError call(const char* step, long number, const Arguments& arguments, std::int64_t* result);

  // It goes on where it was stopped.
  StepError release();

 private:
  // The registers, in the kernel's form; large enough for what `supported` knows.
  static constexpr std::size_t kRegisterBytes = 512;

  pid_t pid_ = 0;
  alignas(16) std::array<unsigned char, kRegisterBytes> saved_{};
};

}  // namespace sterna::sandbox
