// Replicas forked from a paused worker: they are as separate from it and from each other as any two workers.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/egress.h"
#include "sandbox/files.h"
#include "sandbox/tracee.h"
#include "zygote/test_fixture.h"

namespace sterna::zygote {
namespace {

class ParentTest : public ZygoteFixture {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !sandbox::Tracee::supported()) GTEST_SKIP() << "no replicas are forked here";
    if (kHasThreadOfSanitizer) GTEST_SKIP() << "only what has one thread is forked";
    ZygoteFixture::SetUp();
  }
  sandbox::SandboxPlan pausing() const {
    auto made = plan();
    made.may_pause = true;
    return made;
  }
  TestWorker paused(const std::string& name, const sandbox::SandboxPlan& plan, const Secrets& secrets = {}) {
    TestWorker worker = started(name, plan, secrets);
    EXPECT_EQ(worker.ask("pause"), "paused");
    return worker;
  }
};

TEST_P(ParentTest, ReplicasAreConfinedAsWorkersAre) {
  const auto parent = paused("p", pausing());
  const auto replica = forked("a", "p", pausing());
  EXPECT_EQ(replica.ask("ids"), "1000 1000 3");
  EXPECT_EQ(replica.ask("capabilities"),
            "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 ");
  EXPECT_EQ(replica.ask("threads"),
            "Uid:1000 CapPrm:0000000000000000 CapEff:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1 "
            "Seccomp:2 x2");
  EXPECT_EQ(replica.ask("hostname"), "thumbnail");
  EXPECT_EQ(replica.ask("numbers /proc"), "3");
  EXPECT_EQ(replica.ask("read /function/handler.txt"), "the handler");
  for (const char* what : {"unshare", "mount", "ptrace", "bpf", "keyctl", "clone_newuser", "packet_socket",
                           "raw_socket", "setuid", "core_limit"}) {
    const std::string answer = replica.ask(std::string("attempt ") + what);
    EXPECT_TRUE(answer == "Operation not permitted" || answer == "Invalid argument")
        << what << ": " << answer;
  }
  EXPECT_EQ(replica.ask("attempt mknod"), no_device());
  EXPECT_EQ(replica.ask("attempt setns"), "Function not implemented");
  EXPECT_EQ(replica.ask("attempt init_memory"), "No such file or directory");
  EXPECT_EQ(replica.ask("run_child"), "7");
}

TEST_P(ParentTest, ReplicasSeeNothingOfEachOther) {
  const auto parent = paused("p", pausing());
  const auto first = forked("a", "p", pausing());
  const auto second = forked("b", "p", pausing());
  for (const char* path : {"/tmp/x", "/dev/shm/x"}) {
    EXPECT_EQ(first.ask(std::string("create ") + path), "ok");
    EXPECT_EQ(second.ask(std::string("exists ") + path), "No such file or directory");
  }
  EXPECT_EQ(second.ask("numbers /proc"), "3");
  EXPECT_EQ(first.ask("loopback"), "ok");
  EXPECT_EQ(second.ask("interfaces"), "lo");
}

TEST_P(ParentTest, FilesMadeBeforeThePauseAreTheParentsAlone) {
  const auto parent = started("p", pausing());
  EXPECT_EQ(parent.ask("create /tmp/x"), "ok");
  EXPECT_EQ(parent.ask("pause"), "paused");
  EXPECT_EQ(forked("a", "p", pausing()).ask("list /tmp"), "<empty>");
}

TEST_P(ParentTest, TheSizeOfTmpIsThePlans) {
  auto small = pausing();
  small.tmp_bytes = 1 << 20;
  const auto parent = paused("p", small);
  EXPECT_EQ(forked("a", "p", small).ask("fill /tmp/y"), "1048576 No space left on device");
}

TEST_P(ParentTest, SecretsAreThere) {
  const auto parent = paused("p", pausing(), {{"KEY", "p4ss"}});
  const auto replica = forked("a", "p", pausing());
  EXPECT_EQ(replica.ask("read /run/secrets/KEY"), "p4ss");
  EXPECT_EQ(replica.ask("remove /run/secrets/KEY"), "Read-only file system");
}

TEST_P(ParentTest, OpenDescriptorsAreTheReplicasOwn) {
  const auto parent = paused("p", pausing());
  // Standard ones, socket, claim page, output, and the one that lists.
  const std::string numbers = forked("a", "p", pausing()).ask("numbers /proc/self/fd");
  EXPECT_EQ(std::ranges::count(numbers, ' '), 6) << numbers;
}

TEST_P(ParentTest, EndsAreTold) {
  const auto parent = paused("p", pausing());
  EXPECT_EQ(forked("code", "p", pausing()).ask("exit 3"), "<gone>");
  EXPECT_EQ(await<Exited>("code").value().code, 3);
  EXPECT_EQ(forked("signal", "p", pausing()).ask("raise 15"), "<gone>");
  EXPECT_EQ(await<Exited>("signal").value().signal, SIGTERM);
  const auto killed = forked("killed", "p", pausing());
  ASSERT_TRUE(zygote_->send_kill("killed"));
  EXPECT_EQ(await<Exited>("killed").value().signal, SIGKILL);
  // When the kill overtakes the note that it has entered, its end is told before it comes.
  EXPECT_TRUE(eventually([&] { return killed.ask("ids") == "<gone>"; }));
  EXPECT_EQ(forked("next", "p", pausing()).ask("ids"), "1000 1000 3");
}

TEST_P(ParentTest, MemoryIsLimitedForEachReplica) {
  if (cgroups_.memory.empty()) GTEST_SKIP() << "no memory controller";
  const auto parent = paused("p", pausing());
  const auto other = forked("b", "p", pausing());
  EXPECT_EQ(forked("a", "p", pausing()).ask("allocate 300"), "<gone>");
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_TRUE(exited->oom);
  EXPECT_EQ(other.ask("ids"), "1000 1000 3");
  EXPECT_EQ(forked("c", "p", pausing()).ask("ids"), "1000 1000 3");
}

TEST_P(ParentTest, AChildKilledForMemoryEndsItsReplicaOnly) {
  if (cgroups_.memory.empty()) GTEST_SKIP() << "no memory controller";
  const auto parent = paused("p", pausing());
  const auto other = forked("b", "p", pausing());
  EXPECT_EQ(forked("a", "p", pausing()).ask("greedy_children 300"), "<gone>");
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->signal, SIGKILL);
  EXPECT_TRUE(exited->oom);
  EXPECT_EQ(other.ask("ids"), "1000 1000 3");
  EXPECT_EQ(forked("c", "p", pausing()).ask("ids"), "1000 1000 3");
}

TEST_P(ParentTest, ProcessesAreLimitedForEachReplica) {
  if (cgroups_.pids.empty()) GTEST_SKIP() << "no pids controller";
  auto few = pausing();
  few.max_pids = 20;
  const auto parent = paused("p", few);
  const auto other = forked("b", "p", few);
  EXPECT_EQ(forked("a", "p", few).ask("fork_many"), "19 Resource temporarily unavailable");
  EXPECT_EQ(other.ask("run_child"), "7");
  ASSERT_TRUE(zygote_->send_kill("a"));
  ASSERT_TRUE(await<Exited>("a"));
}

TEST_P(ParentTest, GroupsGoWithTheirReplicas) {
  if (cgroups_.version == sandbox::CgroupVersion::kNone) GTEST_SKIP() << "no cgroups";
  const auto parent = paused("p", pausing());
  const std::string group = cgroups_.directories().front() + "/" + sandbox::group_name(zygote_->pid(), 2);
  {
    const auto replica = forked("a", "p", pausing());
    EXPECT_TRUE(sandbox::is_directory(group));
  }
  ASSERT_TRUE(await<Exited>("a"));
  EXPECT_TRUE(eventually([&] { return !sandbox::is_directory(group); }));
}

TEST_P(ParentTest, WhatIsInAReplicasGroupEndsWithIt) {
  if (cgroups_.version == sandbox::CgroupVersion::kNone) GTEST_SKIP() << "no cgroups";
  const auto parent = paused("p", pausing());
  const auto replica = forked("a", "p", pausing());
  const std::string group = cgroups_.directories().front() + "/" + sandbox::group_name(zygote_->pid(), 2);
  const pid_t stranger = ::fork();  // in no namespace of the replica's
  if (stranger == 0) {
    while (true) ::pause();
  }
  EXPECT_EQ(sandbox::write_file(group + "/cgroup.procs", std::to_string(stranger)), 0);
  ASSERT_TRUE(zygote_->send_kill("a"));
  int status = 0;
  EXPECT_TRUE(eventually([&] { return ::waitpid(stranger, &status, WNOHANG) == stranger; }));
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(await<Exited>("a"));
  EXPECT_TRUE(eventually([&] { return !sandbox::is_directory(group); }));
}

TEST_P(ParentTest, ReplicasOutliveTheirParent) {
  const auto parent = paused("p", pausing());
  const auto replica = forked("a", "p", pausing());
  ASSERT_TRUE(zygote_->send_kill("p"));
  const auto exited = await<Exited>("p");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->signal, SIGKILL);
  EXPECT_EQ(replica.ask("ids"), "1000 1000 3");
  const auto late = start("late", pausing(), {}, "p");
  EXPECT_NE(await<Exited>("late").value().error, "");
  EXPECT_EQ(replica.ask("exit 0"), "<gone>");
  EXPECT_EQ(await<Exited>("a").value().code, 0);
  EXPECT_TRUE(await_children(0)) << "the parent's sandbox has ended with its last replica";
}

TEST_P(ParentTest, AParentThatDoesNotForkIsAFailureOfTheReplica) {
  const auto parent = started("p", pausing());  // it has not paused: nobody takes the order
  const auto replica = start("a", pausing(), {}, "p");
  const auto exited = await<Exited>("a", std::chrono::seconds(15));
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->error, "wait for the parent: Connection timed out");
  EXPECT_EQ(parent.ask("ids"), "1000 1000 2");
}

TEST_P(ParentTest, AParentWhoseFilterAnswersForTheKernelHasNoReplicas) {
  const auto parent = started("p", pausing());
  EXPECT_EQ(parent.ask("fake_setns"), "ok");
  EXPECT_EQ(parent.ask("attempt setns"), "ok");  // so it looks to the parent
  EXPECT_EQ(parent.ask("pause"), "paused");
  const auto replica = start("a", pausing(), {}, "p");
  EXPECT_EQ(await<Exited>("a").value().error,
            "trust a parent that filters its own system calls: Operation not permitted");
  ASSERT_TRUE(zygote_->send_kill("p"));
  EXPECT_TRUE(await<Exited>("p"));
  EXPECT_TRUE(await_children(0));
}

TEST_P(ParentTest, AForkThatStaysWhereItIsIsNoReplica) {
  const auto parent = started("p", pausing());
  EXPECT_EQ(parent.ask("pretend"), "paused");
  const auto replica = start("a", pausing(), {}, "p");
  EXPECT_EQ(await<Exited>("a").value().error, "become the replica's parent process: Operation not permitted");
  await_hello(parent);  // it goes on when its fork has ended
  EXPECT_EQ(parent.ask("numbers /proc"), "2");
}

TEST_P(ParentTest, AParentThatTakesItsOrphansInHasNoReplicas) {
  const auto parent = started("p", pausing());
  EXPECT_EQ(parent.ask("adopt_orphans"), "ok");
  EXPECT_EQ(parent.ask("pause"), "paused");
  const auto replica = start("a", pausing(), {}, "p");
  EXPECT_EQ(await<Exited>("a").value().error, "become the replica's parent process: Operation not permitted");
}

TEST_P(ParentTest, WithItsParentAndItselfKilledAReplicasSandboxEndsAtOnce) {
  const auto parent = paused("p", pausing());
  const auto replica = forked("a", "p", pausing());
  ASSERT_TRUE(zygote_->send_kill("p"));
  ASSERT_TRUE(zygote_->send_kill("a"));
  EXPECT_EQ(await<Exited>("p").value().signal, SIGKILL);
  EXPECT_EQ(await<Exited>("a").value().signal, SIGKILL);
  EXPECT_TRUE(await_children(0));
}

TEST_P(ParentTest, WhoMayNotPauseHasNoReplicas) {
  const auto parent = started("p", plan());
  const auto replica = start("a", plan(), {}, "p");
  EXPECT_NE(await<Exited>("a").value().error, "");
}

TEST_P(ParentTest, NothingOutlivesAKilledZygote) {
  const auto parent = paused("p", pausing());
  const auto replica = forked("a", "p", pausing());
  const auto report = await<Started>("a");
  ASSERT_TRUE(report);
  ::kill(zygote_->pid(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return ::kill(report->pid, 0) != 0; }));
}

TEST_P(ParentTest, EachReplicaHasItsOwnNetwork) {
  if (!sandbox::egress_available()) GTEST_SKIP() << "pasta cannot be used here";
  auto egress = pausing();
  egress.network = Network::kEgress;
  const SystemClock clock;
  const auto parent = paused("p", egress);
  auto paused_report = await<Started>("p");
  ASSERT_TRUE(paused_report && paused_report->listener);
  paused_report->listener.reset();  // as the server does
  for (const char* name : {"a", "b"}) {
    const auto replica = forked(name, "p", egress);
    auto report = await<Started>(name);
    ASSERT_TRUE(report && report->listener);
    sandbox::EgressStarter starter(std::move(report->listener), report->pid, clock, {});
    EXPECT_EQ(ask_with_egress(replica, starter, "loopback"), "ok");
    EXPECT_EQ(starter.state(), sandbox::EgressStarter::State::kUp) << starter.error();
  }
}

TEST_P(ParentTest, AnOpenListenerOfTheParentIsAnError) {
  auto egress = pausing();
  egress.network = Network::kEgress;
  const auto parent = paused("p", egress);
  const auto report = await<Started>("p");  // holds it
  const auto replica = start("a", egress, {}, "p");
  EXPECT_EQ(await<Exited>("a").value().error, "install the replica's filter: Device or resource busy");
}

INSTANTIATE_TEST_SUITE_P(Workers, ParentTest, ::testing::Values(WorkerKind::kFork),
                         [](const auto&) { return std::string("Fork"); });

}  // namespace
}  // namespace sterna::zygote
