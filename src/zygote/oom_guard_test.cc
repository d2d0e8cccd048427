// On fake groups; with the real kernel in zygote_test.cc.
#include "zygote/oom_guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

namespace sterna::zygote {
namespace {

namespace fs = std::filesystem;

constexpr OomGuard::Time kStart{std::chrono::hours(1)};

class OomGuardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sterna-guard-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    for (const char* worker : {"a", "b"}) {
      fs::create_directory(dir_ / worker);
      std::ofstream(dir_ / worker / "cgroup.event_control").flush();
      guard_.add(worker, group_of(worker, 0));
    }
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::optional<sandbox::OomWatch> group_of(const std::string& worker, int kills) const {
    std::ofstream(dir_ / worker / "memory.oom_control") << "oom_kill " << kills << "\n";
    return sandbox::OomWatch::open(dir_ / worker);
  }

  fs::path dir_;
  OomGuard guard_;
};

// In the kernel's place.
void tell(int fd) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

TEST_F(OomGuardTest, NamesWhoLostAProcessOnce) {
  ASSERT_EQ(guard_.fds().size(), 2U);
  EXPECT_EQ(guard_.due(), OomGuard::Time::max());
  for (const int fd : guard_.fds()) {
    tell(fd);
    guard_.on_readable(fd, kStart);
  }
  EXPECT_EQ(guard_.due(), kStart);
  std::ofstream(dir_ / "b" / "memory.oom_control") << "oom_kill 1\n";
  EXPECT_EQ(guard_.take_killed(kStart), std::vector<std::string>{"b"});
  EXPECT_EQ(guard_.fds().size(), 1U);
  ASSERT_GT(guard_.due(), kStart);  // the other may still be killed in
  std::ofstream(dir_ / "a" / "memory.oom_control") << "oom_kill 1\n";
  EXPECT_TRUE(guard_.take_killed(kStart).empty());  // not yet due
  EXPECT_EQ(guard_.take_killed(guard_.due()), std::vector<std::string>{"a"});
  EXPECT_EQ(guard_.due(), OomGuard::Time::max());
}

TEST_F(OomGuardTest, KeepsNobodyWhoHasEndedOrCannotBeWatched) {
  guard_.remove("a");
  guard_.add("c", std::nullopt);
  EXPECT_EQ(guard_.fds().size(), 1U);
  guard_.remove("c");
  guard_.remove("b");
  EXPECT_TRUE(guard_.fds().empty());
}

}  // namespace
}  // namespace sterna::zygote
