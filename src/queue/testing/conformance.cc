#include "queue/testing/conformance.h"

#include <filesystem>

#include "queue/memory/memory_queue.h"
#include "queue/sqlite/sqlite_queue.h"

namespace sterna::queue::testing {
namespace {

constexpr std::chrono::seconds kPatience(20);

class MemorySubject final : public Subject {
 public:
  MemorySubject(net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits)
      : queue_(loop, bodies, limits) {}
  LeaseQueue& queue() override { return queue_; }
  Outbox& outbox() override { return queue_; }
  Invocations& invocations() override { return queue_; }
  void reopen() override { queue_.restart(); }

 private:
  MemoryQueue queue_;
};

class SqliteSubject final : public Subject {
 public:
  SqliteSubject(net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits)
      : loop_(loop), bodies_(bodies), limits_(limits) {
    std::string pattern = ::testing::TempDir() + "queue-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    open();
  }
  ~SqliteSubject() override {
    queue_.reset();
    std::filesystem::remove_all(directory_);
  }
  LeaseQueue& queue() override { return *queue_; }
  Outbox& outbox() override { return *queue_; }
  Invocations& invocations() override { return *queue_; }
  void reopen() override {
    queue_.reset();
    open();
  }

 private:
  void open() {
    auto queue = sqlite::SqliteQueue::open(directory_ / "queue.db", loop_, bodies_, limits_);
    ASSERT_TRUE(queue) << queue.error().detail;
    queue_ = std::move(*queue);
  }

  net::Loop& loop_;
  net::BodyBudget& bodies_;
  const QueueLimits limits_;
  std::filesystem::path directory_;
  std::unique_ptr<sqlite::SqliteQueue> queue_;
};

template <class S>
Implementation implementation(std::string name) {
  return {std::move(name), [](net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits) {
            return std::make_unique<S>(loop, bodies, limits);
          }};
}

}  // namespace

std::vector<Implementation> implementations() {
  return {implementation<MemorySubject>("Memory"), implementation<SqliteSubject>("Sqlite")};
}

void PrintTo(const Implementation& implementation, std::ostream* out) {
  *out << implementation.name;
}

std::string name_of(const ::testing::TestParamInfo<Implementation>& info) {
  return info.param.name;
}

// --- the queue and its time ---

void Conformance::open(const QueueLimits& limits) {
  subject_.reset();
  subject_ = GetParam().make(loop_, bodies_, limits);
  queue().observe(watcher_);
  outbox().on_due([this] { ++deliveries_wanted_; });
}

void Conformance::reopen() {
  subject_->reopen();
  queue().observe(watcher_);
  outbox().on_due([this] { ++deliveries_wanted_; });
}

void Conformance::until(const std::function<bool()>& met) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!met()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it does not come about";
    loop_.turn(milliseconds(20));
  }
}

void Conformance::pass(Duration time) {
  clock_.advance(time);
  loop_.turn(Duration::zero());
}

// --- submissions ---

net::Body Conformance::body_of(std::string_view bytes) {
  net::Body body(bodies_);
  EXPECT_TRUE(body.append(bytes));
  return body;
}

Submission Conformance::submission(const FunctionName& function, std::string id, std::string_view body) {
  return {.function = function,
          .id = std::move(id),
          .request = "request",
          .body = body_of(body),
          .callback_url = {},
          .created_at = now(),
          .not_before = now(),
          .expires_at = now() + hours(6),
          .max_attempts = 0,
          .idempotency = {}};
}

Result<Accepted> Conformance::enqueue(Submission submission) {
  return answer_of<Accepted>([&](auto done) { queue().enqueue(std::move(submission), std::move(done)); });
}

std::string Conformance::accept(Submission submission) {
  const auto accepted = enqueue(std::move(submission));
  EXPECT_TRUE(accepted) << accepted.error().reason;
  return accepted ? accepted->id : "";
}

std::string Conformance::accept(const FunctionName& function, std::string id) {
  return accept(submission(function, std::move(id)));
}

// --- leases ---

std::optional<Result<Lease>> Conformance::try_take(Duration lease, Turn turn) {
  auto result = std::make_shared<std::optional<Result<Lease>>>();
  const bool taken = queue().take(turn, may_run_, lease,
                                  [result](Result<Lease> taken) { result->emplace(std::move(taken)); });
  if (!taken) return std::nullopt;
  until([&] { return result->has_value(); });
  return std::move(*result);
}

Lease Conformance::take(Duration lease, Turn turn) {
  auto taken = try_take(lease, turn);
  if (!taken || !*taken) {
    ADD_FAILURE() << (taken ? taken->error().reason : "nothing may be taken");
    return {.receipt = {},
            .function = {},
            .id = {},
            .request = {},
            .body = net::Body(bodies_),
            .created_at = {},
            .expires_at = {},
            .callback_url = {}};
  }
  return std::move(**taken);
}

std::vector<std::string> Conformance::take_all(std::vector<Lease>* leases) {
  std::vector<std::string> ids;
  while (auto taken = try_take()) {
    EXPECT_TRUE(*taken) << taken->error().reason;
    if (!*taken) break;
    ids.push_back((*taken)->id);
    if (leases != nullptr) leases->push_back(std::move(**taken));
  }
  return ids;
}

Attempt Conformance::attempt(const Lease& lease, int status, std::string reason) {
  return {.number = lease.attempt,
          .started_at = now() - milliseconds(5),
          .ended_at = now(),
          .duration = std::chrono::microseconds(4567),
          .outcome = reason.empty() ? "answered" : "failed",
          .reason = std::move(reason),
          .status_code = status,
          .instance = "01WORKER",
          .cold = lease.attempt == 1};
}

Settlement Conformance::succeeded(const Lease& lease, std::string_view answer) {
  return {
      .attempt = attempt(lease, 200),
      .version = 3,
      .retry_at = {},
      .state = State::kSucceeded,
      .reason = {},
      .answer = Answer{.status_code = 200, .header_count = 2, .headers = "headers", .body = body_of(answer)}};
}

Settlement Conformance::failed(const Lease& lease, std::string_view answer) {
  return {.attempt = attempt(lease, 500, "function_raised"),
          .version = 3,
          .retry_at = {},
          .state = State::kFailed,
          .reason = "function_raised",
          .answer = Answer{.status_code = 500, .header_count = 1, .headers = "why", .body = body_of(answer)}};
}

Settlement Conformance::retried(const Lease& lease, WallTime at) {
  return {.attempt = attempt(lease, 503, "retryable_status"),
          .version = 2,
          .retry_at = at,
          .state = State::kFailed,
          .reason = "retryable_status",
          .answer = {}};
}

Status Conformance::settle(const Lease& lease, Settlement settlement) {
  return answer_of<void>(
      [&](auto done) { queue().settle(lease.receipt, std::move(settlement), std::move(done)); });
}

std::string Conformance::run(const FunctionName& function, std::string id, std::string callback_url) {
  Submission wanted = submission(function, std::move(id));
  wanted.callback_url = std::move(callback_url);
  const std::string accepted = accept(std::move(wanted));
  const Lease lease = take();
  EXPECT_EQ(lease.id, accepted);
  EXPECT_TRUE(settle(lease, succeeded(lease, "answer")));
  return accepted;
}

std::string Conformance::run_and_fail(const FunctionName& function, std::string id,
                                      std::string callback_url) {
  Submission wanted = submission(function, std::move(id));
  wanted.callback_url = std::move(callback_url);
  const std::string accepted = accept(std::move(wanted));
  const Lease lease = take();
  EXPECT_EQ(lease.id, accepted);
  EXPECT_TRUE(settle(lease, failed(lease, "problem")));
  return accepted;
}

// --- what users ask ---

Status Conformance::cancel(const std::string& id, const FunctionName& function) {
  return answer_of<void>([&](auto done) { queue().cancel(function.id, id, std::move(done)); });
}

Status Conformance::redrive(const std::string& id, const FunctionName& function) {
  return answer_of<void>([&](auto done) {
    queue().redrive(function.id, id, {.expires_at = now() + hours(6)}, std::move(done));
  });
}

Status Conformance::redeliver(const std::string& id, const FunctionName& function) {
  return answer_of<void>([&](auto done) { outbox().redeliver(function.id, id, std::move(done)); });
}

Result<Record> Conformance::find(const std::string& id, const FunctionName& function) {
  return answer_of<Record>([&](auto done) { invocations().find(function.id, id, std::move(done)); });
}

State Conformance::state_of(const std::string& id, const FunctionName& function) {
  const auto record = find(id, function);
  EXPECT_TRUE(record) << id << ": " << record.error().reason;
  return record ? record->state : State::kQueued;
}

Delivery Conformance::delivery_of(const std::string& id, const FunctionName& function) {
  const auto record = find(id, function);
  EXPECT_TRUE(record) << id << ": " << record.error().reason;
  return record ? record->delivery : Delivery::kNone;
}

Result<StoredAnswer> Conformance::answer(const std::string& id, const FunctionName& function) {
  return answer_of<StoredAnswer>([&](auto done) { invocations().answer(function.id, id, std::move(done)); });
}

Listing Conformance::list(const Filter& filter, std::size_t limit, const std::string& cursor) {
  auto listing = answer_of<Listing>(
      [&](auto done) { invocations().list(kResize.id, filter, limit, cursor, std::move(done)); });
  EXPECT_TRUE(listing) << listing.error().reason;
  return listing ? std::move(*listing) : Listing();
}

std::vector<std::string> Conformance::ids(const Filter& filter) {
  std::vector<std::string> ids;
  for (const Record& record : list(filter).records) ids.push_back(record.id);
  return ids;
}

// --- callbacks ---

std::optional<Result<DueDelivery>> Conformance::try_take_delivery() {
  auto result = std::make_shared<std::optional<Result<DueDelivery>>>();
  const bool taken =
      outbox().take_delivery([result](Result<DueDelivery> due) { result->emplace(std::move(due)); });
  if (!taken) return std::nullopt;
  until([&] { return result->has_value(); });
  return std::move(*result);
}

DueDelivery Conformance::take_delivery() {
  auto taken = try_take_delivery();
  if (taken && *taken) return std::move(**taken);
  ADD_FAILURE() << (taken ? taken->error().reason : "no callback is due");
  return {};
}

// --- bytes ---

std::string bytes_of(AnswerReader& reader, std::size_t piece) {
  std::string bytes;
  while (true) {
    const auto got = reader.read(bytes.size(), piece, bytes);
    EXPECT_TRUE(got);
    if (!got || *got == 0) break;
  }
  EXPECT_EQ(bytes.size(), reader.size());
  return bytes;
}

std::string bytes_of(const net::Body& body) {
  auto bytes = body.bytes();
  EXPECT_TRUE(bytes);
  return std::move(bytes).value_or("");
}

std::string bytes_of(const DueDelivery& delivery) {
  return delivery.large ? bytes_of(*delivery.large, 50'000) : delivery.body;
}

std::string binary(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

}  // namespace sterna::queue::testing
