#include "sandbox/tracee.h"

#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

// <linux/ptrace.h> cannot be included beside <sys/ptrace.h>: the C library's names for the rest are used.

namespace sterna::sandbox {

#ifdef __x86_64__
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;
constexpr std::uint64_t kSyscallBytes = 2;  // of the instruction, 0f 05
constexpr long kSyscallInstruction = 0x050f;
constexpr auto kNoCall = ~std::uint64_t{0};   // in orig_rax: the kernel restarts nothing
constexpr std::int64_t kRestartFirst = -516;  // what rax holds when a call was interrupted by the stop
constexpr std::int64_t kRestartLast = -512;

StepError here(const char* step) {
  return {step, errno};
}

// The C library's own type for address and data is `...`: both travel as words, whatever they mean.
bool ptrace_call(int request, pid_t pid, std::uintptr_t address, std::uintptr_t data) {
  return ::ptrace(static_cast<__ptrace_request>(request), pid, address, data) == 0;
}

bool read_registers(pid_t pid, user_regs_struct& registers) {
  return ptrace_call(PTRACE_GETREGS, pid, 0, reinterpret_cast<std::uintptr_t>(&registers));
}

bool write_registers(pid_t pid, user_regs_struct& registers) {
  return ptrace_call(PTRACE_SETREGS, pid, 0, reinterpret_cast<std::uintptr_t>(&registers));
}

// Waits for the next stop; false with errno when there is none.
bool await_stop(pid_t pid, int* status) {
  if (::waitpid(pid, status, __WALL) != pid) return false;
  if (WIFSTOPPED(*status)) return true;
  errno = ESRCH;
  return false;
}

// Lets it run to the next entry into, or exit from, a system call. Signals that come on the way are dropped.
bool run_to_call(pid_t pid) {
  while (true) {
    int status = 0;
    if (!ptrace_call(PTRACE_SYSCALL, pid, 0, 0) || !await_stop(pid, &status)) return false;
    if (WSTOPSIG(status) == kSyscallStop) return true;
  }
}

bool is_entry(pid_t pid, long number, const Tracee::Arguments& arguments) {
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return false;
  errno = EPROTO;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.arch != AUDIT_ARCH_X86_64 ||
      info.entry.nr != static_cast<std::uint64_t>(number)) {
    return false;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (info.entry.args[i] != arguments[i]) return false;
  }
  return true;
}

bool is_exit(pid_t pid, std::int64_t* result) {
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return false;
  errno = EPROTO;
  if (info.op != PTRACE_SYSCALL_INFO_EXIT) return false;
  *result = info.exit.rval;
  return true;
}

// A process that was stopped outside any system call: goes to its next one and skips that, so that it looks
// as if it had been interrupted there.
bool run_into_call(pid_t pid, user_regs_struct& registers) {
  if (!run_to_call(pid) || !read_registers(pid, registers)) return false;
  const std::uint64_t number = registers.orig_rax;
  registers.orig_rax = kNoCall;
  if (!write_registers(pid, registers) || !run_to_call(pid)) return false;
  registers.orig_rax = number;
  registers.rax = static_cast<std::uint64_t>(kRestartLast);
  return true;
}

}  // namespace

bool Tracee::supported() {
  return true;
}

StepError Tracee::stop(pid_t pid) {
  static_assert(sizeof(user_regs_struct) <= kRegisterBytes);
  pid_ = pid;
  constexpr std::uintptr_t kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP;
  if (!ptrace_call(PTRACE_SEIZE, pid, 0, kOptions)) return here("trace the replica");
  int status = 0;
  if (!ptrace_call(PTRACE_INTERRUPT, pid, 0, 0) || !await_stop(pid, &status)) return here("stop the replica");
  user_regs_struct registers{};
  if (!read_registers(pid, registers)) return here("read the replica's registers");
  if (registers.orig_rax == kNoCall && !run_into_call(pid, registers))
    return here("stop the replica in a call");
  errno = 0;
  const long word = ::ptrace(PTRACE_PEEKTEXT, pid, registers.rip - kSyscallBytes, nullptr);
  if (errno != 0) return here("read the replica's code");
  if ((word & 0xffff) != kSyscallInstruction) return {"find a system call in the replica", EPROTO};
  std::memcpy(saved_.data(), &registers, sizeof registers);
  return {};
}

// The process could have changed the code at its instruction pointer by way of memory that it shares:
// whatever it executes instead, its next system call is looked at before the kernel carries it out.
StepError Tracee::call(const char* step, long number, const Arguments& arguments, std::int64_t* result) {
  user_regs_struct registers{};
  std::memcpy(&registers, saved_.data(), sizeof registers);
  registers.rip -= kSyscallBytes;
  registers.rax = static_cast<std::uint64_t>(number);
  registers.orig_rax = kNoCall;
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = 0;
  if (!write_registers(pid_, registers) || !run_to_call(pid_)) return here(step);
  if (!is_entry(pid_, number, arguments)) return here(step);
  if (!run_to_call(pid_) || !is_exit(pid_, result)) return here(step);
  return {};
}

StepError Tracee::release() {
  user_regs_struct registers{};
  std::memcpy(&registers, saved_.data(), sizeof registers);
  const auto answer = static_cast<std::int64_t>(registers.rax);
  if (answer >= kRestartFirst && answer <= kRestartLast) {  // the interrupted call is made again
    registers.rip -= kSyscallBytes;
    registers.rax = registers.orig_rax;
  }
  registers.orig_rax = kNoCall;
  if (!write_registers(pid_, registers)) return here("restore the replica");
  if (!ptrace_call(PTRACE_DETACH, pid_, 0, 0)) return here("release the replica");
  return {};
}

#else

bool Tracee::supported() {
  return false;
}
StepError Tracee::stop(pid_t) {
  return {"trace the replica", ENOSYS};
}
StepError Tracee::call(const char* step, long, const Arguments&, std::int64_t*) {
  return {step, ENOSYS};
}
StepError Tracee::release() {
  return {"release the replica", ENOSYS};
}

#endif

}  // namespace sterna::sandbox
