#include "sandbox/probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/launch.h"
#include "sandbox/seccomp.h"

namespace sterna::sandbox {
namespace {

TEST(Probe, SaysWhatIsMissing) {
  const Probe found = probe({}, {"first"});
  EXPECT_EQ(found.warnings.front(), "first");
  for (const char* word : {"no memory controller", "no pids controller", "no cpu controller"}) {
    EXPECT_TRUE(std::ranges::any_of(found.warnings, [&](const auto& each) { return each.starts_with(word); }))
        << word;
  }
  EXPECT_EQ(found.own_users, ::geteuid() == 0);
}

TEST(Probe, IsQuietAboutWhatIsThere) {
  const Probe found = probe({CgroupVersion::kV1, "/m", "/c", "/p", "/io", {"254:0"}}, {});
  EXPECT_FALSE(std::ranges::any_of(found.warnings, [](const auto& each) {
    return each.starts_with("no ") && !each.starts_with("no Landlock");
  }));
}

TEST(Seccomp, FiltersFitTheKernel) {
  const auto plain = make_filter(SocketRule::kAllow);
  const auto notify = make_filter(SocketRule::kNotify);
  ASSERT_TRUE(plain && notify);
  EXPECT_GT(plain->size(), 100U);
  EXPECT_LT(notify->size(), 4096U);  // BPF_MAXINSNS
}

// In a process under the filter: the errno of adding a filter with a listener, else of setns.
int overruling_said(SocketRule rule, OwnListeners listeners) {
  const auto filter = make_filter(rule, listeners);
  if (!filter) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter through{BPF_RET, 0, 0, SECCOMP_RET_ALLOW};
    const sock_fprog program{1, &through};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (install_filter(*filter, rule) < 0) ::_exit(1);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(2);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0)
      ::_exit(errno);
    ::_exit(::setns(-1, 0) == 0 ? 0 : 100 + errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Seccomp, WhatAsksOthersIsNotAnsweredByFiltersOfTheFunctions) {
  EXPECT_EQ(overruling_said(SocketRule::kAllow, OwnListeners::kTraced), ENOSYS);
  EXPECT_EQ(overruling_said(SocketRule::kNotify, OwnListeners::kTraced), ENOSYS);
  EXPECT_EQ(overruling_said(SocketRule::kAllow, OwnListeners::kAllowed), 100 + ENOSYS);
}

// Runs a shell command and answers its output.
std::string output_of(const std::string& command, std::vector<std::string> env) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const auto pid = launch(
      {.argv = {"/bin/sh", "-c", command}, .env = std::move(env), .fds = {{ends[1], 1}}, .join_fds = {}});
  ::close(ends[1]);
  EXPECT_TRUE(pid);
  std::string all;
  char part[512];
  for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;)
    all.append(part, static_cast<std::size_t>(got));
  ::close(ends[0]);
  if (pid) ::waitpid(*pid, nullptr, 0);
  return all;
}

TEST(Launch, GivesOnlyWhatIsNamed) {
  ::setenv("STERNA_SECRET", "x", 1);
  EXPECT_EQ(output_of("echo $A$STERNA_SECRET", {"A=1"}), "1\n");
  ::unsetenv("STERNA_SECRET");
  // 3 is the directory that ls reads.
  EXPECT_EQ(output_of("ls /proc/self/fd", {"PATH=/usr/bin:/bin"}), "0\n1\n2\n3\n");
}

TEST(Launch, LeavesTheTerminalsSession) {
  EXPECT_EQ(output_of("set -- $(cat /proc/$$/stat); [ $6 = $$ ] && echo own", {"PATH=/usr/bin:/bin"}),
            "own\n");
}

TEST(Launch, MissingProgramIsAnError) {
  const auto pid = launch({.argv = {"/nonexistent"}, .env = {}, .fds = {}, .join_fds = {}});
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().detail, "start /nonexistent: No such file or directory");
}

}  // namespace
}  // namespace sterna::sandbox
