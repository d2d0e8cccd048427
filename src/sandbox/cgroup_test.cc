// Where groups go and what is written, on a fake tree; the real kernel is tested in zygote_test.cc.
#include "sandbox/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

namespace fs = std::filesystem;

class CgroupTree : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sterna-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  void file(const std::string& path, const std::string& text = "") const {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path) << text;
  }
  std::string text(const std::string& path) const {
    return read_file(root_ + "/" + path).value_or("<missing>");
  }

  std::string root_;
};

TEST_F(CgroupTree, Version1HasADirectoryAController) {
  fs::create_directories(root_ + "/memory/process_api/1");
  fs::create_directories(root_ + "/cpu");
  fs::create_directories(root_ + "/pids/a");
  const auto layout =
      locate_cgroups(root_, "8:pids:/\n4:memory:/process_api/1\n2:cpuacct:/x\n1:cpu,cpuacct:/\n0::/\n", "s");
  EXPECT_EQ(layout.version, CgroupVersion::kV1);
  EXPECT_EQ(layout.memory, root_ + "/memory/process_api/1/s");
  EXPECT_EQ(layout.cpu, root_ + "/cpu/s");
  EXPECT_EQ(layout.pids, root_ + "/pids/s");
  EXPECT_EQ(layout.directories().size(), 3U);
}

TEST_F(CgroupTree, InAContainerTheMountIsOurs) {
  fs::create_directories(root_ + "/memory");
  const auto layout = locate_cgroups(root_, "4:memory:/docker/0123\n", "s");
  EXPECT_EQ(layout.memory, root_ + "/memory/s");
  EXPECT_EQ(layout.cpu, "");
}

TEST_F(CgroupTree, Version2HasOneDirectory) {
  file("cgroup.controllers", "cpu memory pids\n");
  fs::create_directories(root_ + "/user.slice/x");
  const auto layout = locate_cgroups(root_, "0::/user.slice/x\n", "s");
  EXPECT_EQ(layout.version, CgroupVersion::kV2);
  EXPECT_EQ(layout.directories(), std::vector{root_ + "/user.slice/x/s"});
}

TEST_F(CgroupTree, NothingIsTold) {
  std::vector<std::string> warnings;
  const auto layout = create_cgroups(locate_cgroups(root_, "0::/\n", "s"), warnings);
  EXPECT_EQ(layout, CgroupLayout{});
  EXPECT_EQ(warnings.size(), 1U);
}

TEST_F(CgroupTree, Version2ServerMovesIntoALeafFirst) {
  file("cgroup.controllers", "cpu memory pids\n");
  file("x/cgroup.subtree_control");
  file("x/s/cgroup.subtree_control", "cpu memory pids\n");
  file("x/s/server/cgroup.procs");
  std::vector<std::string> warnings;
  const auto layout = create_cgroups(locate_cgroups(root_, "0::/x\n", "s"), warnings);
  EXPECT_EQ(text("x/s/server/cgroup.procs"), "0");
  EXPECT_TRUE(text("x/cgroup.subtree_control").starts_with("+pids")) << text("x/cgroup.subtree_control");
  EXPECT_EQ(layout.memory, root_ + "/x/s");
  EXPECT_TRUE(warnings.empty());
}

TEST_F(CgroupTree, Version2ControllersThatCannotBeTurnedOnAreTold) {
  file("cgroup.controllers", "pids\n");
  file("x/cgroup.subtree_control", "pids\n");
  file("x/s/cgroup.subtree_control", "pids\n");
  file("x/s/server/cgroup.procs");
  fs::remove(root_ + "/x/cgroup.subtree_control");
  fs::create_directory(root_ + "/x/cgroup.subtree_control");
  std::vector<std::string> warnings;
  const auto layout = create_cgroups(locate_cgroups(root_, "0::/x\n", "s"), warnings);
  EXPECT_EQ(layout.version, CgroupVersion::kNone);
  EXPECT_EQ(warnings.size(), 4U);
}

TEST_F(CgroupTree, LayoutSurvivesJson) {
  const CgroupLayout layout{CgroupVersion::kV1, "/m", "", "/p", "/io", {"254:0"}};
  EXPECT_EQ(layout_from_json(to_json(layout)).value(), layout);
  EXPECT_FALSE(layout_from_json({{"version", "v1"}}));
}

TEST(CgroupWrites, AreInAnOrderTheKernelTakes) {
  EXPECT_EQ(memory_writes(CgroupVersion::kV1, 100),
            (std::vector<CgroupWrite>{{"memory.limit_in_bytes", "100", true},
                                      {"memory.memsw.limit_in_bytes", "100", true},
                                      {"memory.limit_in_bytes", "100", false},
                                      {"memory.kmem.tcp.limit_in_bytes", "100", true}}));
  EXPECT_EQ(memory_writes(CgroupVersion::kV2, 100).front(), (CgroupWrite{"memory.max", "100", false}));
  EXPECT_EQ(memory_writes(CgroupVersion::kV2, 100).back(), (CgroupWrite{"memory.oom.group", "1", true}));
  EXPECT_EQ(cpu_writes(CgroupVersion::kV2, 0.5),
            (std::vector<CgroupWrite>{{"cpu.max", "10000 20000", false}}));
  EXPECT_EQ(cpu_writes(CgroupVersion::kV1, 2).back(), (CgroupWrite{"cpu.cfs_quota_us", "40000", false}));
  EXPECT_EQ(cpu_writes(CgroupVersion::kV2, 0.01).front().value, "1000 100000");
  EXPECT_EQ(cpu_writes(CgroupVersion::kV1, 0.001).back().value, "1000");  // the kernel's least
}

TEST(CgroupWrites, DisksAreLimitedOneByOne) {
  EXPECT_EQ(io_writes(CgroupVersion::kV1, {"254:0"}, 7),
            (std::vector<CgroupWrite>{{"blkio.throttle.read_bps_device", "254:0 7", true},
                                      {"blkio.throttle.write_bps_device", "254:0 7", true}}));
  EXPECT_EQ(io_writes(CgroupVersion::kV2, {"8:0"}, 7),
            (std::vector<CgroupWrite>{{"io.max", "8:0 rbps=7 wbps=7", true}}));
  EXPECT_EQ(io_writes(CgroupVersion::kV2, {"8:0"}, 0).front().value, "8:0 rbps=max wbps=max");
}

TEST_F(CgroupTree, DisksAreFoundWithoutMemoryAndLoops) {
  file("block/vda/dev", "254:0\n");
  file("block/loop0/dev", "7:0\n");
  file("block/zram0/dev", "251:0\n");
  EXPECT_EQ(find_disks(root_ + "/block"), std::vector<std::string>{"254:0"});
  EXPECT_TRUE(find_disks(root_ + "/none").empty());
}

TEST_F(CgroupTree, CountersAreReadByName) {
  file("memory.events", "low 0\noom 3\noom_kill 2\n");
  EXPECT_EQ(read_counter(root_ + "/memory.events", "oom_kill"), 2U);
  EXPECT_EQ(read_counter(root_ + "/memory.events", "other"), 0U);
  EXPECT_EQ(read_counter(root_ + "/nothing", "oom_kill"), 0U);
}

TEST_F(CgroupTree, MakingAGroupInANoPlaceFails) {
  const auto made = Cgroup::make({CgroupVersion::kV2, root_ + "/a", root_ + "/a", root_ + "/a"}, "w1");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kIo);
}

}  // namespace
}  // namespace sterna::sandbox
