// Who gets what next, and for how long.
#include <algorithm>

#include "queue/testing/conformance.h"

namespace sterna::queue::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class LeaseTest : public Conformance {
 protected:
  void accept_many(const FunctionName& function, const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) accept(function, prefix + std::to_string(i));
  }
  // How many of the first `count` begin with the letter.
  static long among_first(const std::vector<std::string>& ids, std::ptrdiff_t count, char letter) {
    return std::count_if(ids.begin(), ids.begin() + count,
                         [letter](const auto& id) { return id[0] == letter; });
  }
};
INSTANTIATE_TEST_SUITE_P(Queues, LeaseTest, ::testing::ValuesIn(implementations()), name_of);

TEST_P(LeaseTest, NothingWaitsNothingIsTaken) {
  EXPECT_FALSE(try_take());
  accept(kResize, "01A");
  EXPECT_TRUE(try_take());
  EXPECT_FALSE(try_take());  // it is taken
}

TEST_P(LeaseTest, TheOldestOfAFunctionGoesFirst) {
  accept_many(kResize, "a", 5);
  EXPECT_THAT(take_all(), ElementsAre("a0", "a1", "a2", "a3", "a4"));
}

TEST_P(LeaseTest, SpacesTakeTurnsAndSoDoTheirFunctions) {
  accept_many(kResize, "r", 9);
  accept_many(kMail, "m", 3);
  accept_many(kLab, "l", 3);
  const auto order = take_all();
  ASSERT_EQ(order.size(), 15U);
  // Of six that are taken, each space has three, the two functions of one space differ by one at most.
  EXPECT_EQ(among_first(order, 6, 'l'), 3);
  EXPECT_GE(among_first(order, 6, 'm'), 1);
  EXPECT_GE(among_first(order, 6, 'r'), 1);
  EXPECT_EQ(among_first(order, 9, 'm'), 3);
  for (const char letter : {'r', 'm', 'l'}) {
    std::vector<std::string> own;
    std::ranges::copy_if(order, std::back_inserter(own),
                         [letter](const auto& id) { return id[0] == letter; });
    EXPECT_TRUE(std::ranges::is_sorted(own)) << letter;
  }
}

TEST_P(LeaseTest, ALongBacklogDoesNotKeepANewcomerWaiting) {
  accept_many(kResize, "r", 40);
  for (int i = 0; i < 10; ++i) take();
  accept(kMail, "m0");
  EXPECT_THAT((std::vector{take().id, take().id}), Contains("m0"));
  accept(kLab, "l0");
  EXPECT_THAT((std::vector{take().id, take().id}), Contains("l0"));
}

TEST_P(LeaseTest, WhoMayNotRunIsNotAskedForAgainUntilItIsWoken) {
  accept_many(kResize, "r", 2);
  accept(kMail, "m0");
  int asked = 0;
  Gate gate = Gate::kNotNow;
  may_run_ = [&](const FunctionName& function) {
    if (function.id != kResize.id) return Gate::kOpen;
    ++asked;
    return gate;
  };
  EXPECT_THAT(take_all(), ElementsAre("m0"));
  EXPECT_EQ(asked, 1);
  accept(kResize, "r2");
  pass(seconds(1));
  EXPECT_FALSE(try_take());
  EXPECT_EQ(asked, 1);

  queue().wake("01NOBODY");
  queue().wake(kMail.id);
  EXPECT_FALSE(try_take());
  EXPECT_EQ(asked, 1);
  queue().wake(kResize.id);
  EXPECT_FALSE(try_take());
  EXPECT_EQ(asked, 2);
  gate = Gate::kOpen;
  EXPECT_FALSE(try_take());  // it does not know yet
  queue().wake(kResize.id);
  EXPECT_THAT(take_all(), ElementsAre("r0", "r1", "r2"));
}

TEST_P(LeaseTest, ALeaseThatRunsOutIsRevokedAndGivenToAnother) {
  accept(kResize, "01A");
  const Lease lost = take(seconds(10));
  pass(seconds(9));
  EXPECT_THAT(watcher_.revoked, IsEmpty());
  EXPECT_FALSE(try_take());
  const int ready = watcher_.ready;
  pass(seconds(2));
  EXPECT_THAT(watcher_.revoked, ElementsAre(lost.receipt));
  EXPECT_GT(watcher_.ready, ready);
  EXPECT_EQ(state_of("01A"), State::kQueued);

  const Lease next = take();
  EXPECT_EQ(next.id, "01A");
  EXPECT_FALSE(next.receipt == lost.receipt);
  EXPECT_EQ(next.attempt, 1);  // a fault of the platform spends no attempt
  EXPECT_EQ(next.spent, 0);

  // The old receipt is good for nothing.
  const Status settled = settle(lost, succeeded(lost, "late"));
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().reason, "stale_receipt");
  EXPECT_EQ(settled.error().code, Code::kConflict);
  EXPECT_EQ(queue().renew(lost.receipt, kLease).error().reason, "stale_receipt");
  queue().give_back(lost.receipt, Duration::zero());
  EXPECT_FALSE(try_take());
  EXPECT_TRUE(settle(next, succeeded(next, "")));
  EXPECT_TRUE(find("01A")->attempts.size() == 1);
}

TEST_P(LeaseTest, ARenewedLeaseHolds) {
  accept(kResize, "01A");
  const Lease lease = take(seconds(10));
  for (int i = 0; i < 5; ++i) {
    pass(seconds(8));
    EXPECT_TRUE(queue().renew(lease.receipt, seconds(10)));
  }
  EXPECT_THAT(watcher_.revoked, IsEmpty());
  EXPECT_TRUE(settle(lease, succeeded(lease, "")));
  EXPECT_EQ(queue().renew(lease.receipt, kLease).error().reason, "stale_receipt");
  EXPECT_EQ(queue().renew({.seq = 999, .epoch = 1}, kLease).error().reason, "stale_receipt");
}

TEST_P(LeaseTest, WhatIsGivenBackIsAsIfItHadNotBeenTaken) {
  accept(kResize, "01A");
  pass(milliseconds(10));
  accept(kResize, "01B");
  const Lease lease = take();
  const int ready = watcher_.ready;
  queue().give_back(lease.receipt, Duration::zero());
  until([&] { return watcher_.ready > ready; });
  EXPECT_EQ(state_of("01A"), State::kQueued);
  EXPECT_EQ(find("01A")->started_at, std::nullopt);
  const Lease again = take();
  EXPECT_EQ(again.id, "01A");
  EXPECT_EQ(again.attempt, 1);
  EXPECT_EQ(again.spent, 0);
  EXPECT_EQ(settle(lease, succeeded(lease, "")).error().reason, "stale_receipt");
  EXPECT_THAT(watcher_.revoked, IsEmpty());  // its holder knows
}

TEST_P(LeaseTest, WhatIsGivenBackRestsForThePause) {
  accept(kResize, "01A");
  queue().give_back(take().receipt, seconds(3));
  EXPECT_FALSE(try_take());
  pass(seconds(2));
  EXPECT_FALSE(try_take());
  const int ready = watcher_.ready;
  pass(milliseconds(1100));
  EXPECT_GT(watcher_.ready, ready);
  EXPECT_EQ(take().id, "01A");
}

TEST_P(LeaseTest, WhatIsGivenBackKeepsItsPlaceAndItsAge) {
  const WallTime due = now();
  accept(kResize, "01A");
  pass(milliseconds(10));
  accept(kResize, "01B");
  accept(kResize, "01C");
  queue().give_back(take().receipt, seconds(3));
  pass(seconds(1));
  EXPECT_EQ(queue().depth(kResize.id).oldest, due);
  pass(seconds(3));
  EXPECT_EQ(queue().depth(kResize.id).oldest, due);
  EXPECT_THAT(take_all(), ElementsAre("01A", "01B", "01C"));
}

TEST_P(LeaseTest, WhatIsGivenBackMayBeCancelledInItsPause) {
  accept(kResize, "01A");
  pass(seconds(1));
  const WallTime second = now();
  accept(kResize, "01B");
  queue().give_back(take().receipt, seconds(3));
  ASSERT_TRUE(cancel("01A"));
  EXPECT_EQ(queue().depth(kResize.id).waiting, 1U);
  EXPECT_EQ(queue().depth(kResize.id).oldest, second);
  pass(seconds(4));
  EXPECT_THAT(take_all(), ElementsAre("01B"));
}

TEST_P(LeaseTest, WhatWaitsForAWorkerIsNotCalledRunning) {
  const WallTime due = now();
  accept(kResize, "01A");
  pass(seconds(1));
  const Lease lease = take();
  watcher_.waits_for_worker = lease.receipt;
  pass(seconds(5));
  Depth depth = queue().depth(kResize.id);
  EXPECT_EQ(depth.leased, 1U);
  EXPECT_EQ(depth.running, 0U);
  EXPECT_EQ(depth.oldest, due);
  EXPECT_EQ(state_of("01A"), State::kQueued);
  EXPECT_EQ(find("01A")->started_at, std::nullopt);
  EXPECT_THAT(ids({.state = State::kQueued, .delivery = {}}), ElementsAre("01A"));
  EXPECT_THAT(ids({.state = State::kRunning, .delivery = {}}), IsEmpty());

  watcher_.waits_for_worker = {};
  depth = queue().depth(kResize.id);
  EXPECT_EQ(depth.running, 1U);
  EXPECT_EQ(depth.oldest, std::nullopt);
  EXPECT_EQ(state_of("01A"), State::kRunning);
  EXPECT_THAT(ids({.state = State::kRunning, .delivery = {}}), ElementsAre("01A"));
}

TEST_P(LeaseTest, WhatHasExpiredIsNotHandedOut) {
  Submission brief = submission(kResize, "01A");
  brief.expires_at = now() + seconds(1);
  accept(std::move(brief));
  accept(kResize, "01B");
  clock_.advance(seconds(1));  // nothing has looked at the time yet
  EXPECT_THAT(take_all(), ElementsAre("01B"));
  pass(seconds(1));
  until([&] { return !watcher_.settled.empty(); });
  EXPECT_EQ(state_of("01A"), State::kExpired);
}

TEST_P(LeaseTest, CancelledWhileItIsTaken) {
  accept(kResize, "01A");
  accept(kResize, "01B");
  std::vector<Result<Lease>> leases;
  std::vector<Status> cancelled;
  ASSERT_TRUE(queue().take(Turn::kInLine, may_run_, kLease,
                           [&](Result<Lease> taken) { leases.push_back(std::move(taken)); }));
  queue().cancel(kResize.id, "01A", [&](Status status) { cancelled.push_back(std::move(status)); });
  until([&] { return !leases.empty() && !cancelled.empty(); });
  EXPECT_TRUE(cancelled[0]);
  // Whoever has the lease is told that it is over; who has not got it yet does not get it.
  if (leases[0]) {
    EXPECT_THAT(watcher_.revoked, ElementsAre(leases[0]->receipt));
  } else {
    EXPECT_EQ(leases[0].error().code, Code::kNotFound);
  }
  EXPECT_EQ(state_of("01A"), State::kCancelled);
  EXPECT_THAT(take_all(), ElementsAre("01B"));
}

TEST_P(LeaseTest, TellsHowMuchWaits) {
  EXPECT_EQ(queue().depth(kResize.id).waiting, 0U);
  EXPECT_EQ(queue().depth(kResize.id).oldest, std::nullopt);
  const WallTime first = now();
  accept(kResize, "01A");
  pass(seconds(1));
  const WallTime second = now();
  accept(kResize, "01B");
  accept(kMail, "01C");
  Submission later = submission(kResize, "01D");
  later.created_at = first - hours(1);
  later.not_before = now() + hours(1);
  accept(std::move(later));

  Depth depth = queue().depth(kResize.id);
  EXPECT_EQ(depth.waiting, 3U);
  EXPECT_EQ(depth.leased, 0U);
  EXPECT_EQ(depth.oldest, first);  // what is delayed is not late

  std::vector<Lease> leases;
  EXPECT_THAT(take_all(&leases), UnorderedElementsAre("01A", "01B", "01C"));
  depth = queue().depth(kResize.id);
  EXPECT_EQ(depth.waiting, 3U);
  EXPECT_EQ(depth.leased, 2U);
  EXPECT_EQ(depth.oldest, std::nullopt);  // nor what runs
  for (const Lease& lease : leases) {
    if (lease.id == "01A") ASSERT_TRUE(settle(lease, succeeded(lease, "")));
  }
  depth = queue().depth(kResize.id);
  EXPECT_EQ(depth.waiting, 2U);
  EXPECT_EQ(depth.leased, 1U);
  EXPECT_EQ(queue().depth(kMail.id).waiting, 1U);
  for (const Lease& lease : leases) {
    if (lease.id == "01B") queue().give_back(lease.receipt, Duration::zero());
  }
  EXPECT_EQ(queue().depth(kResize.id).oldest, second);
}

TEST_P(LeaseTest, WhatIsDelayedIsLateFromItsTimeOn) {
  Submission later = submission(kResize, "01A");
  later.not_before = now() + hours(1);
  const WallTime due = later.not_before;
  accept(std::move(later));
  pass(hours(1) + seconds(1));
  EXPECT_EQ(queue().depth(kResize.id).oldest, due);
  reopen();
  pass(seconds(1));
  EXPECT_EQ(queue().depth(kResize.id).oldest, due);
}

TEST_P(LeaseTest, WhoWaitsAsForASynchronousCallStandsInNoLine) {
  const auto at_once = [&](const FunctionName& function, const char* id) {
    Submission made = submission(function, id);
    made.turn = Turn::kAtOnce;
    accept(std::move(made));
  };
  accept(kResize, "line");
  at_once(kResize, "first");
  at_once(kMail, "second");
  EXPECT_EQ(queue().depth(kResize.id).waiting, 2U);
  may_run_ = [](const FunctionName& function) {
    return function.id == kResize.id ? Gate::kNotNow : Gate::kOpen;
  };
  const Lease second = take(kLease, Turn::kAtOnce);
  EXPECT_EQ(second.id, "second");
  EXPECT_EQ(second.turn, Turn::kAtOnce);
  EXPECT_FALSE(try_take(kLease, Turn::kAtOnce));

  reopen();
  may_run_ = [](const FunctionName&) { return Gate::kOpen; };
  EXPECT_THAT(take_all(), ElementsAre("line"));
  const Lease first = take(kLease, Turn::kAtOnce);
  EXPECT_EQ(first.id, "first");
  queue().give_back(first.receipt, Duration::zero());
  EXPECT_EQ(take(kLease, Turn::kAtOnce).id, "first");
  ASSERT_TRUE(cancel("second", kMail));
  EXPECT_FALSE(try_take(kLease, Turn::kAtOnce));
  EXPECT_EQ(queue().depth(kMail.id).waiting, 0U);
}

TEST_P(LeaseTest, WhatWaitsForAFunctionThatMayRunAgainIsTakenAtOnce) {
  Submission made = submission(kResize, "01A");
  made.turn = Turn::kAtOnce;
  accept(std::move(made));
  may_run_ = [](const FunctionName&) { return Gate::kNotNow; };
  EXPECT_FALSE(try_take(kLease, Turn::kAtOnce));
  may_run_ = [](const FunctionName&) { return Gate::kOpen; };
  EXPECT_FALSE(try_take(kLease, Turn::kAtOnce));
  queue().wake(kResize.id);
  EXPECT_TRUE(try_take(kLease, Turn::kAtOnce));
}

TEST_P(LeaseTest, WhatIsCancelledIsNotTheOldestAnyMore) {
  accept(kResize, "01A");
  pass(seconds(1));
  accept(kResize, "01B");
  ASSERT_TRUE(cancel("01A"));
  EXPECT_EQ(queue().depth(kResize.id).waiting, 1U);
  EXPECT_EQ(queue().depth(kResize.id).oldest, now());
  EXPECT_THAT(take_all(), ElementsAre("01B"));
}

TEST_P(LeaseTest, AfterARestartAllThatIsNotSettledWaitsAgain) {
  accept(kResize, "r0");
  accept(kResize, "r1");
  Submission later = submission(kResize, "r2");
  later.not_before = now() + minutes(1);
  accept(std::move(later));
  Submission large = submission(kMail, "m0", binary(300'000));
  accept(std::move(large));
  EXPECT_EQ(take_all().size(), 3U);

  reopen();
  EXPECT_EQ(state_of("r0"), State::kQueued);
  EXPECT_EQ(queue().depth(kResize.id).waiting, 3U);
  EXPECT_EQ(queue().depth(kResize.id).leased, 0U);
  std::vector<Lease> leases;
  const auto order = take_all(&leases);
  ASSERT_THAT(order, UnorderedElementsAre("r0", "r1", "m0"));
  EXPECT_LT(std::ranges::find(order, "r0"), std::ranges::find(order, "r1"));
  for (const Lease& lease : leases) {
    EXPECT_EQ(lease.attempt, 1);
    if (lease.id == "m0") EXPECT_TRUE(bytes_of(lease.body) == binary(300'000));
  }
  EXPECT_THAT(watcher_.revoked, IsEmpty());
  pass(minutes(2));  // the delayed one is due, and the leases have run out
  until([&] { return watcher_.revoked.size() == 3; });
  EXPECT_THAT(take_all(), UnorderedElementsAre("r0", "r1", "r2", "m0"));
}

}  // namespace
}  // namespace sterna::queue::testing
