// What users see of their invocations.
#include "queue/testing/conformance.h"

namespace sterna::queue::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

class ReadsTest : public Conformance {
 protected:
  // One of each: by state, and by delivery.
  void make_all_kinds() {
    run(kResize, "01SUCCEEDED");
    run_and_fail(kResize, "01FAILED", "https://example.com/");
    outbox().end_delivery(take_delivery().seq,
                          {.tried = {}, .again_at = {}, .end = Delivery::kUndeliverable});
    run(kResize, "01DELIVERED", "https://example.com/");
    outbox().end_delivery(take_delivery().seq, {.tried = {}, .again_at = {}, .end = Delivery::kDelivered});
    run(kResize, "01PENDING", "https://example.com/");
    accept(kResize, "01CANCELLED");
    ASSERT_TRUE(cancel("01CANCELLED"));
    Submission brief = submission(kResize, "01EXPIRED");
    brief.expires_at = now() + milliseconds(1);
    accept(std::move(brief));
    pass(seconds(1));
    until([&] { return state_of("01EXPIRED") == State::kExpired; });
    accept(kResize, "01RUNNING");
    take();
    Submission later = submission(kResize, "01DELAYED");
    later.not_before = now() + hours(1);
    accept(std::move(later));
    accept(kResize, "01READY");
    accept(kMail, "01OTHER");
    until([&] { return delivery_of("01DELIVERED") == Delivery::kDelivered; });
  }
};
INSTANTIATE_TEST_SUITE_P(Queues, ReadsTest, ::testing::ValuesIn(implementations()), name_of);

TEST_P(ReadsTest, FindsAFunctionsOwnOnly) {
  run(kResize, "01A");
  accept(kMail, "01B");
  EXPECT_EQ(find("01A")->function, kResize);
  const auto other = find("01A", kMail);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kNotFound);
  EXPECT_EQ(other.error().reason, "invocation_not_found");
  EXPECT_EQ(find("01A", kLab).error().reason, "invocation_not_found");
  EXPECT_EQ(find("").error().reason, "invocation_not_found");
}

TEST_P(ReadsTest, ListsTheNewestFirst) {
  make_all_kinds();
  EXPECT_THAT(ids({}), ElementsAre("01READY", "01DELAYED", "01RUNNING", "01EXPIRED", "01CANCELLED",
                                   "01PENDING", "01DELIVERED", "01FAILED", "01SUCCEEDED"));
  EXPECT_EQ(list({}).next_cursor, std::nullopt);
  for (const Record& record : list({}).records) {
    EXPECT_EQ(record.state, state_of(record.id)) << record.id;
    EXPECT_EQ(record.function, kResize);
  }
}

TEST_P(ReadsTest, FiltersByStateAndDelivery) {
  make_all_kinds();
  const auto state = [this](State wanted) { return ids({.state = wanted, .delivery = {}}); };
  EXPECT_THAT(state(State::kQueued), ElementsAre("01READY", "01DELAYED"));
  EXPECT_THAT(state(State::kRunning), ElementsAre("01RUNNING"));
  EXPECT_THAT(state(State::kSucceeded), ElementsAre("01PENDING", "01DELIVERED", "01SUCCEEDED"));
  EXPECT_THAT(state(State::kFailed), ElementsAre("01FAILED"));
  EXPECT_THAT(state(State::kCancelled), ElementsAre("01CANCELLED"));
  EXPECT_THAT(state(State::kExpired), ElementsAre("01EXPIRED"));
  const auto delivery = [this](Delivery wanted) { return ids({.state = {}, .delivery = wanted}); };
  EXPECT_THAT(delivery(Delivery::kNone),
              ElementsAre("01READY", "01DELAYED", "01RUNNING", "01EXPIRED", "01CANCELLED", "01SUCCEEDED"));
  EXPECT_THAT(delivery(Delivery::kPending), ElementsAre("01PENDING"));
  EXPECT_THAT(delivery(Delivery::kDelivered), ElementsAre("01DELIVERED"));
  EXPECT_THAT(delivery(Delivery::kUndeliverable), ElementsAre("01FAILED"));
  EXPECT_THAT(ids({.state = State::kSucceeded, .delivery = Delivery::kNone}), ElementsAre("01SUCCEEDED"));
  EXPECT_THAT(ids({.state = State::kRunning, .delivery = Delivery::kNone}), ElementsAre("01RUNNING"));
  EXPECT_THAT(ids({.state = State::kRunning, .delivery = Delivery::kPending}), IsEmpty());
}

TEST_P(ReadsTest, PagesHoldEachOnce) {
  for (int i = 0; i < 7; ++i) accept(kResize, "01" + std::to_string(i));
  std::vector<Lease> leases;
  ASSERT_EQ(take_all(&leases).size(), 7U);
  ASSERT_TRUE(settle(leases[2], succeeded(leases[2], "")));
  ASSERT_TRUE(settle(leases[4], retried(leases[4], now() + hours(1))));
  for (const std::size_t limit : {1U, 3U, 7U, 8U}) {
    std::vector<std::string> seen;
    std::string cursor;
    int pages = 0;
    do {
      const Listing page = list({}, limit, cursor);
      EXPECT_LE(page.records.size(), limit);
      for (const Record& record : page.records) seen.push_back(record.id);
      cursor = page.next_cursor.value_or("");
      ASSERT_LE(++pages, 8);
    } while (!cursor.empty());
    EXPECT_THAT(seen, ElementsAre("016", "015", "014", "013", "012", "011", "010")) << limit;
  }
  // A page goes on where the one before ended, whatever came since.
  const Listing first = list({.state = State::kRunning, .delivery = {}}, 2);
  ASSERT_TRUE(first.next_cursor);
  accept(kResize, "017");
  const Listing second = list({.state = State::kRunning, .delivery = {}}, 10, first.next_cursor.value_or(""));
  EXPECT_THAT(second.records,
              ElementsAre(Field(&Record::id, "013"), Field(&Record::id, "011"), Field(&Record::id, "010")));
}

TEST_P(ReadsTest, RefusesABrokenCursor) {
  for (const FunctionName& function : {kResize, kLab}) {
    for (const char* cursor : {"x", "-1", "1x", "99999999999999999999999"}) {
      const auto listing = answer_of<Listing>(
          [&](auto done) { invocations().list(function.id, {}, 10, cursor, std::move(done)); });
      ASSERT_FALSE(listing) << cursor;
      EXPECT_EQ(listing.error().code, Code::kInvalid);
      EXPECT_EQ(listing.error().reason, "bad_parameter");
    }
  }
  EXPECT_THAT(list({}).records, IsEmpty());
}

TEST_P(ReadsTest, KeepsAnswersOfEverySize) {
  int number = 0;
  for (const std::size_t size : {0U, 1U, 65'536U, 65'537U, 262'145U, 6U << 20U}) {
    const std::string id = accept(kResize, "01SIZE" + std::to_string(number++));
    const Lease lease = take();
    ASSERT_TRUE(settle(lease, succeeded(lease, binary(size))));
    const auto stored = answer(id);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->status_code, 200);
    EXPECT_EQ(stored->header_count, 2U);
    EXPECT_EQ(stored->headers, "headers");
    EXPECT_EQ(stored->body->size(), size);
    for (const std::size_t piece : {std::size_t{1'000'000}, std::size_t{77'777}}) {
      EXPECT_TRUE(bytes_of(*stored->body, piece) == binary(size)) << size << " bytes in pieces of " << piece;
    }
    std::string end;
    EXPECT_EQ(stored->body->read(size, 10, end), 0U);
    EXPECT_EQ(stored->body->read(size + 1'000'000, 10, end), 0U);
  }
}

TEST_P(ReadsTest, AnswersAreThereAfterTheEnd) {
  EXPECT_EQ(answer("01A").error().reason, "invocation_not_found");
  accept(kResize, "01A");
  EXPECT_EQ(answer("01A").error().reason, "not_ended");
  EXPECT_EQ(answer("01A").error().code, Code::kConflict);
  const Lease lease = take();
  EXPECT_EQ(answer("01A").error().reason, "not_ended");
  ASSERT_TRUE(settle(lease, failed(lease, "problem")));
  EXPECT_EQ(answer("01A")->status_code, 500);
  EXPECT_EQ(answer("01A", kMail).error().reason, "invocation_not_found");
  accept(kResize, "01B");
  ASSERT_TRUE(cancel("01B"));
  EXPECT_EQ(answer("01B").error().reason, "no_answer");
  EXPECT_EQ(answer("01B").error().code, Code::kNotFound);
}

TEST_P(ReadsTest, AllIsKeptThroughARestart) {
  make_all_kinds();
  Submission keyed = submission(kLab, "01KEYED");
  keyed.idempotency = IdempotencyKey{.key = "key", .fingerprint = "print", .forgotten_at = now() + hours(24)};
  accept(std::move(keyed));
  const Listing before = list({});
  reopen();
  const Listing after = list({});
  ASSERT_EQ(after.records.size(), before.records.size());
  for (std::size_t i = 0; i < after.records.size(); ++i) {
    const Record& record = after.records[i];
    EXPECT_EQ(record.id, before.records[i].id);
    EXPECT_EQ(record.state, record.id == "01RUNNING" ? State::kQueued : before.records[i].state) << record.id;
    EXPECT_EQ(record.reason, before.records[i].reason) << record.id;
    EXPECT_EQ(record.delivery, before.records[i].delivery) << record.id;
    EXPECT_EQ(record.created_at, before.records[i].created_at) << record.id;
    EXPECT_EQ(record.ended_at, before.records[i].ended_at) << record.id;
    EXPECT_EQ(record.attempts.size(), before.records[i].attempts.size()) << record.id;
  }
  EXPECT_EQ(bytes_of(*answer("01SUCCEEDED")->body, 100), "answer");
  EXPECT_EQ(enqueue(submission(kResize, "01FAILED")).error().reason, "call_id_in_use");
  Submission again = submission(kLab, "01AGAIN");
  again.idempotency = IdempotencyKey{.key = "key", .fingerprint = "print", .forgotten_at = now() + hours(24)};
  EXPECT_EQ(enqueue(std::move(again))->id, "01KEYED");
  EXPECT_EQ(take_delivery().id, "01PENDING");
}

}  // namespace
}  // namespace sterna::queue::testing
