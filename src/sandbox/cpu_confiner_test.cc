// Who is confined to what, on a fake tree; the real kernel is tried by tests/e2e/test_sandbox.py.
#include "sandbox/cpu_confiner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

namespace fs = std::filesystem;

class Confiner : public ::testing::TestWithParam<CgroupVersion> {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sterna-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    layout_.version = GetParam();
    layout_.cpu = root_ + "/cpu";
    layout_.cpuset = v1() ? root_ + "/cpuset" : layout_.cpu;
    fs::create_directories(layout_.cpu);
    fs::create_directories(layout_.cpuset);
    std::ofstream(layout_.cpuset + "/cpuset.mems") << "0\n";
  }
  void TearDown() override { fs::remove_all(root_); }

  static bool v1() { return GetParam() == CgroupVersion::kV1; }

  // A group with a limit of `cpus`. The kernel makes the files of its cpuset, here the test does.
  void add(const std::string& name, double cpus) {
    const std::string group = layout_.cpu + "/" + name;
    fs::create_directory(group);
    const auto quota = static_cast<int>(cpus * 20'000);
    if (v1()) {
      std::ofstream(group + "/cpu.cfs_quota_us") << quota << "\n";
      std::ofstream(group + "/cpu.cfs_period_us") << "20000\n";
    } else {
      std::ofstream(group + "/cpu.max") << quota << " 20000\n";
    }
    std::ofstream(group + "/cgroup.procs") << "42\n";
    fs::create_directory(layout_.cpuset + "/" + name);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
      std::ofstream(layout_.cpuset + "/" + name + file);
    if (v1()) std::ofstream(layout_.cpuset + "/" + name + "/cgroup.procs");
    ran(name, 0, 0);
  }

  void ran(const std::string& name, int periods, int throttled) {
    auto& [all, stopped] = ran_[name];
    all += periods;
    stopped += throttled;
    std::ofstream(layout_.cpu + "/" + name + "/cpu.stat")
        << fmt::format("nr_periods {}\nnr_throttled {}\nthrottled_time 5\n", all, stopped);
  }

  // A group that ran into its limit in every period.
  void add_greedy(const std::string& name, double cpus) {
    add(name, cpus);
    ran(name, 10, 10);
  }

  std::string processors(const std::string& name) const {
    return read_file(layout_.cpuset + "/" + name + "/cpuset.cpus").value_or("<missing>");
  }

  std::string root_;
  CgroupLayout layout_;
  std::map<std::string, std::pair<int, int>> ran_;
  const MonotonicTime now_{std::chrono::hours(1)};
};

TEST_P(Confiner, WhoRunsIntoTheLimitGetsAsManyProcessorsAsTheLimitIs) {
  CpuConfiner confiner(layout_, {0, 1, 2, 3});
  add("z7-1", 0.5);
  add("z7-2", 1.5);
  add("z7-3", 0.5);
  ran("z7-1", 10, 9);
  ran("z7-2", 10, 10);
  ran("z7-3", 10, 1);
  confiner.look(now_);
  EXPECT_EQ(processors("z7-1"), "3");
  EXPECT_EQ(processors("z7-2"), "1,2");
  EXPECT_EQ(processors("z7-3"), "");
}

TEST_P(Confiner, ProcessorsAreTakenInTurn) {
  CpuConfiner confiner(layout_, {4, 5});
  for (const char* name : {"z7-1", "z7-2", "z7-3"}) {
    add_greedy(name, 1);
    confiner.look(now_);
  }
  EXPECT_EQ(processors("z7-1"), "5");
  EXPECT_EQ(processors("z7-2"), "4");
  EXPECT_EQ(processors("z7-3"), "5");
}

TEST_P(Confiner, IsReleasedAMinuteAfterTheLastTime) {
  CpuConfiner confiner(layout_, {0, 1});
  add_greedy("z7-1", 0.5);
  confiner.look(now_);
  ran("z7-1", 10, 0);
  confiner.look(now_ + CpuConfiner::kRelease - std::chrono::seconds(1));
  EXPECT_EQ(processors("z7-1"), "1");
  confiner.look(now_ + CpuConfiner::kRelease);
  EXPECT_EQ(processors("z7-1"), "0,1");
  ran("z7-1", 10, 10);
  confiner.look(now_ + 2 * CpuConfiner::kRelease);
  EXPECT_EQ(processors("z7-1").substr(0, 1), "1");  // a file of the kernel would be cut
}

TEST_P(Confiner, NobodyIsConfinedToAllProcessors) {
  CpuConfiner confiner(layout_, {0, 1});
  add_greedy("z7-1", 2);
  confiner.look(now_);
  EXPECT_EQ(processors("z7-1"), "");
}

TEST_P(Confiner, OtherGroupsAreLeftAlone) {
  CpuConfiner confiner(layout_, {0, 1});
  add_greedy("server", 0.5);
  confiner.look(now_);
  EXPECT_EQ(processors("server"), "");
}

TEST_P(Confiner, ProcessesOfItAreBroughtIn) {
  if (!v1()) GTEST_SKIP() << "version 2 has them in the same group";
  CpuConfiner confiner(layout_, {0, 1});
  add_greedy("z7-1", 0.5);
  confiner.look(now_);
  EXPECT_EQ(read_file(layout_.cpuset + "/z7-1/cgroup.procs"), "42");
}

TEST_P(Confiner, OneThatEndedGivesItsProcessorBack) {
  CpuConfiner confiner(layout_, {0, 1});
  add_greedy("z7-1", 1);
  confiner.look(now_);
  fs::remove_all(layout_.cpu + "/z7-1");
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems", "/cgroup.procs"})
    fs::remove(layout_.cpuset + "/z7-1" + file);
  confiner.look(now_);
  EXPECT_FALSE(fs::exists(layout_.cpuset + "/z7-1"));
  add_greedy("z7-2", 1);
  confiner.look(now_);
  EXPECT_EQ(processors("z7-2"), "1");
}

INSTANTIATE_TEST_SUITE_P(Version, Confiner, ::testing::Values(CgroupVersion::kV1, CgroupVersion::kV2),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST(Processors, ThisProcessMayRunSomewhere) {
  EXPECT_FALSE(usable_processors().empty());
}

}  // namespace
}  // namespace sterna::sandbox
