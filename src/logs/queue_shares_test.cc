#include "logs/queue_shares.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <numeric>
#include <vector>

namespace sterna::logs {
namespace {

constexpr QueueLimits kLimits{.bytes = 12'000, .bytes_for_each = 100};
constexpr std::uint64_t kLine = 10;

// What functions have waiting that write as much as they may, turn by turn; `spaces` says how many each has.
std::vector<std::vector<std::uint64_t>> flood(const std::vector<std::size_t>& spaces) {
  std::vector<std::vector<std::uint64_t>> held;
  for (const std::size_t functions : spaces) held.emplace_back(functions, 0);
  const auto sum = [](const std::vector<std::uint64_t>& values) {
    return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
  };
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (auto& space : held) {
      for (auto& function : space) {
        std::uint64_t all = 0;
        for (const auto& each : held) all += sum(each);
        const QueueUse use{.of_function = function, .of_space = sum(space), .of_all = all};
        if (room_for(kLine, use, kLimits) != Room::kFits) continue;
        function += kLine;
        has_changed = true;
      }
    }
  }
  return held;
}

TEST(QueueShares, OneFunctionGetsAThird) {
  EXPECT_EQ(flood({1}).at(0).at(0), 4'000U);
}

TEST(QueueShares, AFloodOfManyFunctionsLeavesRoomForOtherSpacesAndForItsOwn) {
  const auto held = flood({6});
  const std::uint64_t all = std::accumulate(held[0].begin(), held[0].end(), std::uint64_t{0});
  EXPECT_LT(all, 6'000U);
  EXPECT_EQ(room_for(5'000, {.of_function = 0, .of_space = 0, .of_all = all}, kLimits), Room::kFits);
  EXPECT_EQ(room_for(800, {.of_function = 0, .of_space = all, .of_all = all}, kLimits), Room::kFits);
}

TEST(QueueShares, ManySpacesLeaveEachFunctionItsOwn) {
  const QueueUse full{.of_function = 0, .of_space = 12'000, .of_all = 20'000};
  EXPECT_EQ(room_for(100, full, kLimits), Room::kFits);
  EXPECT_EQ(room_for(101, full, kLimits), Room::kSpaceIsOver);
}

TEST(QueueShares, TheReasonIsWhoWouldBeOverAlone) {
  EXPECT_EQ(room_for(kLine, {.of_function = 4'000, .of_space = 4'000, .of_all = 4'000}, kLimits),
            Room::kFunctionIsOver);
  EXPECT_EQ(room_for(kLine, {.of_function = 1'000, .of_space = 5'500, .of_all = 5'500}, kLimits),
            Room::kSpaceIsOver);
  EXPECT_EQ(room_for(kLine, {.of_function = 1'000, .of_space = 1'000, .of_all = 11'000}, kLimits),
            Room::kServerIsOver);
}

}  // namespace
}  // namespace sterna::logs
