#include "gateway/management_exchange.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace sterna::gateway {
namespace {

TEST(HasRoom, IsThereForAFewOfEachThoughOthersWaitInCrowds) {
  std::promise<void> go_on;
  net::Background thread;
  thread.run("busy", [waits = go_on.get_future().share()] { waits.wait(); });
  while (thread.waiting() > 0) std::this_thread::yield();  // until it has begun
  for (const char* crowd : {"one", "two"}) {
    for (std::size_t i = 0; i < kMaxWaitingOfSpace; ++i) {
      EXPECT_TRUE(has_room(thread, crowd)) << crowd << " " << i;
      thread.run(crowd, [] {});
    }
    EXPECT_FALSE(has_room(thread, crowd));
  }
  for (std::size_t i = 0; i < kReservedOfSpace; ++i) {
    EXPECT_TRUE(has_room(thread, "three")) << i;
    thread.run("three", [] {});
  }
  EXPECT_FALSE(has_room(thread, "three"));
  EXPECT_TRUE(has_room(thread, "four"));
  go_on.set_value();
}

}  // namespace
}  // namespace sterna::gateway
