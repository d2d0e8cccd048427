#include "dispatch/deliverer.h"

#include <algorithm>
#include <deque>

#include "callback/verdict.h"
#include "dispatch/dispatch_fixture.h"
#include "net/http_parser.h"

namespace sterna::dispatch {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using callback::PostResult;
using callback::Verdict;
using queue::Delivery;

class FakeSender final : public callback::Sender {
 public:
  struct Sent {
    callback::Post post;
    Done done;
  };
  std::deque<Sent> sent;
  void post(callback::Post post, Done done) override { sent.push_back({std::move(post), std::move(done)}); }
};

class DelivererTest : public DispatchTest {
 protected:
  DelivererTest() {
    table_.set_space({.spec = {.name = "default", .callback_allow = {}},
                      .created_at = {},
                      .signing = {.current = "whsec_now", .previous = {}, .previous_until = {}}});
    deliverer_.emplace(
        loop_, table_, queue_, sender_,
        [this](const queue::FunctionName&, const std::string& outcome) { outcomes_.push_back(outcome); });
  }

  // A run whose callback is due.
  void finish(const std::string& id, const pool::testing::PlayedHeaders& headers = {},
              std::string_view body = "out", std::uint32_t status = 200) {
    if (!table_.find_id(name().id)) run_function();
    queue::Submission made = submission(id);
    made.callback_url = "https://example.com/" + id;
    enqueue(std::move(made));
    if (!warm_) wait_until_warm();
    warm_ = true;
    const auto run = request();
    clock_.advance(std::chrono::milliseconds(2));
    respond(run, status, headers, body);
  }
  void end(std::size_t index, const PostResult& result) {
    sender_.sent.at(index).done(result);
    settle();
  }
  static std::vector<std::string> values(const callback::Post& post, std::string_view name) {
    std::vector<std::string> found;
    for (const auto& [key, value] : post.headers) {
      if (net::equal_ignoring_case(key, name)) found.push_back(value);
    }
    return found;
  }
  static PostResult answered(Verdict verdict, unsigned status) {
    return {.verdict = verdict, .status_code = status, .detail = {}, .retry_after = {}};
  }

  FakeSender sender_;
  std::vector<std::string> outcomes_;
  std::optional<Deliverer> deliverer_;
  bool warm_ = false;
};

using Values = std::vector<std::string>;

TEST_F(DelivererTest, SendsTheAnswerWithTheFunctionsHeadersAndOurs) {
  const WallTime began = clock_.wall();
  finish("call-1", {{"X-Own", "1"}, {"x-own", "2"}, {"X-Function-Status", "999"}, {"X-Attempt", "7"}}, "out",
         418);
  ASSERT_EQ(sender_.sent.size(), 1U);
  const callback::Post& post = sender_.sent[0].post;
  EXPECT_EQ(post.url, "https://example.com/call-1");
  EXPECT_EQ(post.body, "out");
  EXPECT_EQ(post.webhook_id, "call-1");
  EXPECT_EQ(post.secrets, Values{"whsec_now"});
  EXPECT_EQ(values(post, "X-Own"), (Values{"1", "2"}));
  EXPECT_EQ(values(post, "X-Function-Status"), Values{"418"});
  EXPECT_EQ(values(post, "X-Function-Name"), Values{"motion"});
  EXPECT_EQ(values(post, "X-Function-Space"), Values{"default"});
  EXPECT_EQ(values(post, "X-Call-Id"), Values{"call-1"});
  EXPECT_EQ(values(post, "X-Duration-Seconds"), Values{"0.001500"});
  EXPECT_EQ(values(post, "X-Start-Time"), Values{format_rfc3339(began)});
  EXPECT_EQ(values(post, "X-Attempt"), Values{"1"});
  EXPECT_EQ(post.headers.size(), 9U);

  end(0, answered(Verdict::kDelivered, 204));
  const queue::Record known = record("call-1");
  EXPECT_EQ(known.delivery, Delivery::kDelivered);
  ASSERT_EQ(known.deliveries.size(), 1U);
  EXPECT_EQ(known.deliveries[0].status_code, 204);
  EXPECT_EQ(outcomes_, Values{"delivered"});
  EXPECT_EQ(queue_.pending_deliveries(), 0U);
  EXPECT_EQ(deliverer_->sending(), 0U);
}

TEST_F(DelivererTest, ALargeAnswerIsReadInPieces) {
  const std::string large(100'000, 'x');
  finish("call-1", {}, large);
  callback::Post& post = sender_.sent.at(0).post;
  if (!post.large_body) {
    EXPECT_EQ(post.body, large);
    return;
  }
  ASSERT_EQ(post.large_body->size(), large.size());
  std::string got;
  std::vector<char> piece(40'000);
  while (got.size() < large.size()) {
    const auto read = post.large_body->read(got.size(), piece);
    ASSERT_TRUE(read && *read > 0);
    got.append(piece.data(), *read);
  }
  EXPECT_EQ(got, large);
}

TEST_F(DelivererTest, AFailedDeliveryComesAgainUntilItsTriesAreSpent) {
  registry::Function made = running(1);
  made.active->spec.callback.max_attempts = 2;
  table_.apply(made);
  finish("call-1");
  end(0, answered(Verdict::kRetry, 503));
  EXPECT_EQ(record("call-1").delivery, Delivery::kPending);
  pass(milliseconds(1200));  // the first pause is at most a second
  ASSERT_EQ(sender_.sent.size(), 2U);
  EXPECT_EQ(sender_.sent[1].post.body, "out");
  end(1, answered(Verdict::kRetry, 503));
  EXPECT_EQ(record("call-1").delivery, Delivery::kUndeliverable);
  EXPECT_EQ(outcomes_, (Values{"retry", "undeliverable"}));
  EXPECT_EQ(record("call-1").deliveries.size(), 2U);
  pass(minutes(20));
  EXPECT_EQ(sender_.sent.size(), 2U);
}

TEST_F(DelivererTest, WhatWasNotSentCostsNoTry) {
  finish("call-1");
  end(0, {.verdict = Verdict::kRetry,
          .status_code = {},
          .detail = {},
          .retry_after = seconds(3),
          .attempted = false});
  EXPECT_TRUE(record("call-1").deliveries.empty());
  EXPECT_TRUE(outcomes_.empty());
  pass(milliseconds(2900));
  EXPECT_EQ(sender_.sent.size(), 1U);
  pass(milliseconds(1200));
  ASSERT_EQ(sender_.sent.size(), 2U);
  end(1, answered(Verdict::kDelivered, 200));
  EXPECT_EQ(record("call-1").deliveries.size(), 1U);
}

TEST_F(DelivererTest, ARotatedSecretSignsBesideTheNewOneForAWhile) {
  table_.set_space(
      {.spec = {.name = "default", .callback_allow = {"10.0.0.0/8"}},
       .created_at = {},
       .signing = {
           .current = "whsec_new", .previous = "whsec_old", .previous_until = clock_.wall() + minutes(1)}});
  finish("call-1");
  EXPECT_EQ(sender_.sent.at(0).post.secrets, (Values{"whsec_new", "whsec_old"}));
  ASSERT_TRUE(sender_.sent[0].post.allow);
  clock_.advance(minutes(2));
  finish("call-2");
  EXPECT_EQ(sender_.sent.at(1).post.secrets, Values{"whsec_new"});
  EXPECT_EQ(sender_.sent[1].post.allow, sender_.sent[0].post.allow);  // read once
}

TEST_F(DelivererTest, WithoutItsSpaceACallbackIsUndeliverable) {
  run_function();
  table_.remove_space("default");
  finish("call-1");
  EXPECT_TRUE(sender_.sent.empty());
  const queue::Record known = record("call-1");
  EXPECT_EQ(known.delivery, Delivery::kUndeliverable);
  EXPECT_EQ(known.deliveries.at(0).detail, "the space was deleted");
}

TEST_F(DelivererTest, OnlySoManyAreUnderWay) {
  for (std::size_t i = 0; i < kMaxDeliveries + 2; ++i) finish("call-" + std::to_string(i));
  EXPECT_EQ(sender_.sent.size(), kMaxDeliveries);
  EXPECT_EQ(deliverer_->sending(), kMaxDeliveries);
  end(0, answered(Verdict::kDelivered, 200));
  EXPECT_EQ(sender_.sent.size(), kMaxDeliveries + 1);
}

TEST_F(DelivererTest, DrainingSendsNothingMore) {
  deliverer_->drain();
  finish("call-1");
  pass(seconds(1));
  EXPECT_TRUE(sender_.sent.empty());
  EXPECT_EQ(record("call-1").delivery, Delivery::kPending);
}

TEST_F(DelivererTest, ASpaceThatWasMadeAgainSendsNothingOfTheOneBefore) {
  registry::Space space{.spec = {.name = "default", .callback_allow = {}},
                        .created_at = clock_.wall(),
                        .signing = {.current = "whsec_other", .previous = {}, .previous_until = {}}};
  table_.set_space(space);
  run_function();
  warm_ = true;
  queue::Submission made = submission("call-1");
  made.callback_url = "https://example.com/";
  made.function.space_made_at = space.created_at - std::chrono::hours(1);
  enqueue(std::move(made));
  wait_until_warm();
  respond(request(), 200, {}, "secret");
  EXPECT_TRUE(sender_.sent.empty());
  EXPECT_EQ(record("call-1").delivery, Delivery::kUndeliverable);
  EXPECT_EQ(record("call-1").deliveries.at(0).detail, "the space was deleted");
}

TEST_F(DelivererTest, AJumpOfTheWallClockGivesNothingUp) {
  finish("call-1");
  clock_.jump(minutes(50));
  end(0, callback::target_rests("the target rests", seconds(30)));
  EXPECT_EQ(record("call-1").delivery, Delivery::kPending);
  pass(seconds(32));
  ASSERT_EQ(sender_.sent.size(), 2U);
  clock_.jump(-minutes(500));
  end(1, answered(Verdict::kDelivered, 204));
  EXPECT_EQ(record("call-1").delivery, Delivery::kDelivered);
}

TEST_F(DelivererTest, ADeadTargetIsGivenUp) {
  finish("call-1");
  for (std::size_t i = 0; record("call-1").delivery == Delivery::kPending && i < 200; ++i) {
    ASSERT_EQ(sender_.sent.size(), i + 1);
    end(i, callback::target_rests("the target rests", seconds(30)));
    pass(seconds(32));
  }
  EXPECT_EQ(record("call-1").delivery, Delivery::kUndeliverable);
  EXPECT_EQ(outcomes_, Values{"undeliverable"});
  ASSERT_EQ(record("call-1").deliveries.size(), 1U);
  EXPECT_NE(record("call-1").deliveries[0].detail.find("the target has not answered"), std::string::npos);
}

}  // namespace
}  // namespace sterna::dispatch
