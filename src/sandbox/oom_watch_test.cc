// On a fake group; the real kernel is tested in zygote_test.cc.
#include "sandbox/oom_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr OomLooks::Time kStart{std::chrono::hours(1)};

TEST(OomLooks, AreSoonAtFirstThenSeldomAndEnd) {
  OomLooks looks;
  EXPECT_EQ(looks.due(), OomLooks::Time::max());
  looks.begin(kStart);
  EXPECT_EQ(looks.due(), kStart);
  int count = 0;
  OomLooks::Time last = kStart;
  while (looks.due() != OomLooks::Time::max()) {
    ASSERT_LT(++count, 40);
    last = looks.due();
    looks.go_on(last);
    if (looks.due() == OomLooks::Time::max()) break;
    EXPECT_GE(looks.due() - last, milliseconds(2));
    EXPECT_LE(looks.due() - last, std::max<OomLooks::Time::duration>(milliseconds(2), (last - kStart) / 4));
  }
  EXPECT_GE(last - kStart, milliseconds(1000));
  looks.begin(last);
  EXPECT_EQ(looks.due(), last);
}

class OomWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sterna-oom-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    group_ = name;
    counts(0);
    std::ofstream(group_ + "/cgroup.event_control").flush();
  }
  void TearDown() override { fs::remove_all(group_); }

  void counts(int kills) const {
    std::ofstream(group_ + "/memory.oom_control")
        << "oom_kill_disable 0\nunder_oom 0\noom_kill " << kills << "\n";
  }

  std::string group_;
};

// In the kernel's place.
void tell(const OomWatch& watch) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(watch.fd(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

bool is_readable(const OomWatch& watch) {
  pollfd polled{watch.fd(), POLLIN, 0};
  return ::poll(&polled, 1, 0) == 1;
}

TEST_F(OomWatchTest, OrdersWordFromTheKernel) {
  const auto watch = OomWatch::open(group_);
  ASSERT_TRUE(watch);
  const std::string order = read_file(group_ + "/cgroup.event_control").value_or("");
  EXPECT_TRUE(order.starts_with(std::to_string(watch->fd()) + " ")) << order;
  EXPECT_FALSE(is_readable(*watch));
  EXPECT_EQ(watch->due(), OomWatch::Time::max());
}

TEST_F(OomWatchTest, TheKillMayComeAfterTheWord) {
  auto watch = OomWatch::open(group_);
  ASSERT_TRUE(watch);
  tell(*watch);
  watch->on_readable(kStart);
  EXPECT_FALSE(is_readable(*watch));
  ASSERT_EQ(watch->due(), kStart);
  EXPECT_FALSE(watch->look(kStart));
  EXPECT_EQ(watch->due(), kStart + milliseconds(2));
  counts(1);
  EXPECT_TRUE(watch->look(watch->due()));
  EXPECT_EQ(watch->due(), OomWatch::Time::max());
}

TEST_F(OomWatchTest, WithoutAWordNothingIsDue) {
  auto watch = OomWatch::open(group_);
  ASSERT_TRUE(watch);
  watch->on_readable(kStart);
  EXPECT_EQ(watch->due(), OomWatch::Time::max());
}

TEST_F(OomWatchTest, WhereTheKernelDoesNotTellThereIsNone) {
  fs::remove(group_ + "/cgroup.event_control");
  EXPECT_FALSE(OomWatch::open(group_));
  EXPECT_FALSE(OomWatch::open(group_ + "/nothing"));
}

}  // namespace
}  // namespace sterna::sandbox
