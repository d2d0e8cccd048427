#include "pool/processor_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sterna::pool {
namespace {

using std::chrono::milliseconds;

class ProcessorWatchTest : public ::testing::Test {
 protected:
  ~ProcessorWatchTest() override { std::filesystem::remove(path_); }

  // Of four processors, in ticks.
  void write(unsigned busy, unsigned idle, unsigned waiting = 0) {
    std::ofstream(path_) << "cpu  " << busy << " 0 0 " << idle << " " << waiting << " 0 0 0 7 7\n"
                         << "cpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr 5 6 7\n";
  }
  bool look_after(Duration time) {
    now_ += time;
    watch_.look(now_);
    return watch_.has_free();
  }

  const std::string path_ = ::testing::TempDir() + "processor_watch_" + std::to_string(::getpid());
  MonotonicTime now_{std::chrono::hours(1)};
  ProcessorWatch watch_{path_};
};

TEST_F(ProcessorWatchTest, TellsOfTheTimeBetweenTwoLooks) {
  write(1000, 9000);
  EXPECT_FALSE(look_after({})) << "the first look knows no time between";
  write(1018, 9002);
  EXPECT_FALSE(look_after(milliseconds(50))) << "two of twenty ticks, of four processors";
  write(1035, 9005);
  EXPECT_TRUE(look_after(milliseconds(50))) << "three of twenty";
  write(1052, 9005, 3);
  EXPECT_TRUE(look_after(milliseconds(50))) << "who waits for a disk uses none";
}

TEST_F(ProcessorWatchTest, LooksNoMoreOftenThanTheTicksTell) {
  write(1000, 9000);
  look_after({});
  write(1000, 9020);
  EXPECT_TRUE(look_after(milliseconds(50)));
  write(1020, 9020);
  EXPECT_TRUE(look_after(milliseconds(49)));
  EXPECT_FALSE(look_after(milliseconds(1)));
}

TEST_F(ProcessorWatchTest, KnowsNothingAfterALongTimeNorWithoutTheFile) {
  write(1000, 9000);
  look_after({});
  write(1000, 9020);
  EXPECT_TRUE(look_after(milliseconds(250)));
  write(1000, 9120);
  EXPECT_FALSE(look_after(milliseconds(251)));
  std::filesystem::remove(path_);
  EXPECT_FALSE(look_after(milliseconds(50)));
  std::ofstream(path_) << "cpu 1 2 three\n";
  EXPECT_FALSE(look_after(milliseconds(50)));
  write(1000, 9200);
  EXPECT_FALSE(look_after(milliseconds(50)));
  write(1000, 9220);
  EXPECT_TRUE(look_after(milliseconds(50)));
}

}  // namespace
}  // namespace sterna::pool
