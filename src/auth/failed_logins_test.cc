#include "auth/failed_logins.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace sterna::auth {
namespace {

using std::chrono::seconds;

class FailedLoginsTest : public ::testing::Test {
 protected:
  void fail(std::string_view address, int times = 1) {
    for (int i = 0; i < times; ++i) (void)failed_.failed(address, clock_.now());
  }
  bool may_try(std::string_view address) { return failed_.wait(address, clock_.now()) == Duration::zero(); }

  ManualClock clock_;
  FailedLogins failed_{6};
};

TEST_F(FailedLoginsTest, SoManyInAMinute) {
  EXPECT_TRUE(may_try("192.0.2.1"));
  fail("192.0.2.1", 5);
  EXPECT_TRUE(may_try("192.0.2.1"));
  fail("192.0.2.1");
  EXPECT_EQ(failed_.wait("192.0.2.1", clock_.now()), seconds(10));
  clock_.advance(seconds(10));
  EXPECT_TRUE(may_try("192.0.2.1"));
  fail("192.0.2.1");
  EXPECT_FALSE(may_try("192.0.2.1"));
}

TEST_F(FailedLoginsTest, WhatIsTooMuchDoesNotCount) {
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(failed_.failed("192.0.2.1", clock_.now()), i < 6 ? Duration::zero() : Duration(seconds(10)));
  }
  EXPECT_EQ(failed_.wait("192.0.2.1", clock_.now()), seconds(10));
}

TEST_F(FailedLoginsTest, SecretsAreNotTriedOnceThereWereTooManyBadOnes) {
  const auto good = std::make_shared<const int>(1);
  const std::shared_ptr<const int> bad;
  int tries = 0;
  const auto ask = [&](const std::shared_ptr<const int>& secret) {
    return failed_.guard("192.0.2.1", clock_.now(), [&] {
      ++tries;
      return secret;
    });
  };
  EXPECT_EQ(ask(good), good);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(bad), bad);
  EXPECT_EQ(tries, 7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask(i % 2 == 0 ? good : bad).error(), seconds(10));
  EXPECT_EQ(tries, 7);
  clock_.advance(seconds(10));
  EXPECT_EQ(ask(good), good);
  EXPECT_EQ(ask(good), good) << "good ones do not count";
}

TEST_F(FailedLoginsTest, OthersMayGoOn) {
  fail("192.0.2.1", 6);
  EXPECT_FALSE(may_try("192.0.2.1"));
  EXPECT_FALSE(may_try("::ffff:192.0.2.1")) << "another spelling";
  EXPECT_TRUE(may_try("192.0.2.2"));
}

TEST_F(FailedLoginsTest, AnIpv6NetworkIsOne) {
  fail("2001:db8:0:1::1", 3);
  fail("2001:db8:0:1:ffff::2", 3);
  EXPECT_FALSE(may_try("2001:db8:0:1::3"));
  EXPECT_TRUE(may_try("2001:db8:0:2::1"));
  EXPECT_EQ(failed_.addresses(), 1U);
}

TEST_F(FailedLoginsTest, NeverHoldsMoreThanItMay) {
  fail("192.0.2.1", 6);
  for (std::size_t i = 0; i < FailedLogins::kMaxAddresses + 10; ++i) {
    fail("10." + std::to_string(i >> 16U) + "." + std::to_string((i >> 8U) & 255U) + "." +
         std::to_string(i & 255U));
    if (i % 100 == 0) fail("192.0.2.1");
  }
  EXPECT_EQ(failed_.addresses(), FailedLogins::kMaxAddresses);
  EXPECT_FALSE(may_try("192.0.2.1")) << "who goes on failing is not forgotten";
}

TEST(FailedLogins, NoneIsSlowedDownWithoutALimit) {
  const ManualClock clock;
  FailedLogins failed(0);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(failed.failed("192.0.2.1", clock.now()), Duration::zero());
  EXPECT_EQ(failed.wait("192.0.2.1", clock.now()), Duration::zero());
  EXPECT_EQ(failed.addresses(), 0U);
}

}  // namespace
}  // namespace sterna::auth
