// What goes when the database is larger than it may be: the oldest, what keys stand for last, and nothing for
// the sake of what waits.
#include "queue/testing/conformance.h"

namespace sterna::queue::testing {
namespace {

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr std::size_t kAnswer = 60'000;  // stands in its row

// Of the queue on disk only: the other one has no bytes.
class RetentionTest : public Conformance {
 protected:
  static std::string id_of(int number) { return "call-" + std::to_string(number); }
  Submission keyed(const std::string& id, const std::string& key, const std::string& fingerprint = "print") {
    Submission made = submission(kResize, id);
    made.idempotency =
        IdempotencyKey{.key = key, .fingerprint = fingerprint, .forgotten_at = now() + hours(24)};
    return made;
  }
  void run_large(Submission made) {
    accept(std::move(made));
    const Lease lease = take();
    ASSERT_TRUE(settle(lease, succeeded(lease, binary(kAnswer))));
  }
  bool is_kept(int number) { return find(id_of(number)).has_value(); }
  void until_gone(int number) {
    until([&] {
      pass(seconds(2));
      return !is_kept(number);
    });
  }
  // Some sweeps, each of which has come to its end: what is written later is on disk.
  void sweep_well() {
    for (int i = 0; i < 5; ++i) {
      pass(seconds(2));
      const std::string id = "mark-" + std::to_string(++marks_);
      accept(kMail, id);
      ASSERT_TRUE(cancel(id, kMail));
    }
  }

 private:
  int marks_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Queues, RetentionTest, ::testing::Values(implementations().back()), name_of);

TEST_P(RetentionTest, TheOldestGoAndNoMoreThanMust) {
  open({.keep_bytes = kMiB});
  for (int i = 0; i < 40; ++i) run_large(submission(kResize, id_of(i)));
  until_gone(20);
  sweep_well();
  for (int i = 0; i <= 20; ++i) EXPECT_FALSE(is_kept(i)) << i;
  for (int i = 30; i < 40; ++i) EXPECT_TRUE(is_kept(i)) << i;
}

TEST_P(RetentionTest, WhatKeysStandForGoesLastAndIsNotRunAgain) {
  open({.keep_bytes = kMiB});
  for (int i = 0; i < 40; ++i)
    run_large(i < 30 ? keyed(id_of(i), "key-" + std::to_string(i)) : submission(kResize, id_of(i)));
  until_gone(10);
  sweep_well();
  for (int i = 30; i < 40; ++i) EXPECT_FALSE(is_kept(i)) << i;
  EXPECT_FALSE(is_kept(0));
  EXPECT_TRUE(is_kept(29));

  const auto kept = enqueue(keyed("again", "key-29"));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->id, id_of(29));
  EXPECT_TRUE(kept->repeated);
  const auto gone = enqueue(keyed("again", "key-0"));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason, "answer_not_kept");
  EXPECT_EQ(gone.error().code, Code::kConflict);
  EXPECT_EQ(enqueue(keyed("again", "key-0", "another")).error().reason, "idempotency_key_reused");
  EXPECT_EQ(find("again").error().reason, "invocation_not_found");
  pass(hours(24));
  EXPECT_TRUE(enqueue(keyed("again", "key-0")));  // the key is forgotten in time all the same
}

TEST_P(RetentionTest, WhatWaitsMakesNothingGo) {
  open({.keep_bytes = kMiB});
  for (int i = 0; i < 8; ++i) run_large(submission(kResize, id_of(i)));
  for (int i = 8; i < 38; ++i) accept(submission(kResize, id_of(i), binary(kAnswer)));
  sweep_well();
  for (int i = 0; i < 38; ++i) EXPECT_TRUE(is_kept(i)) << i;
  sweep_well();
  EXPECT_TRUE(is_kept(0));
}

}  // namespace
}  // namespace sterna::queue::testing
