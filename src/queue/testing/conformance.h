// One suite for every queue: what lease_queue.h, outbox.h and invocations.h promise, on a clock that stands
// still.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "net/loop.h"
#include "queue/invocations.h"
#include "queue/lease_queue.h"
#include "queue/limits.h"
#include "queue/outbox.h"

namespace sterna::queue::testing {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// One queue under test, on an empty store.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual LeaseQueue& queue() = 0;
  virtual Outbox& outbox() = 0;
  virtual Invocations& invocations() = 0;
  // The process ends and begins again. Who watched the queue has to watch the new one.
  virtual void reopen() = 0;
};

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Subject>(net::Loop&, net::BodyBudget&, const QueueLimits&)> make;
};
void PrintTo(const Implementation& implementation, std::ostream* out);  // for GoogleTest
std::vector<Implementation> implementations();
std::string name_of(const ::testing::TestParamInfo<Implementation>& info);

// Puts down what it is told.
class Watcher final : public QueueObserver {
 public:
  struct Settled {
    std::string function;
    std::string id;
    State state{};
    std::string reason;
    Delivery callback{};
    friend bool operator==(const Settled&, const Settled&) = default;
  };
  void on_ready() override { ++ready; }
  void on_accepted(const FunctionName& function) override { accepted.push_back(function.name); }
  std::optional<Interruption> interruption(const Receipt& receipt) override {
    return receipt == running ? interrupted : std::nullopt;
  }
  bool is_running(const Receipt& receipt) override { return receipt != waits_for_worker; }
  void on_revoked(const Receipt& receipt, std::string_view reason) override {
    revoked.push_back(receipt);
    revoked_for.emplace_back(reason);
  }
  void on_settled(const FunctionName& function, const std::string& id, State state, const std::string& reason,
                  Delivery callback) override {
    settled.push_back({function.name, id, state, reason, callback});
  }

  int ready = 0;
  std::vector<std::string> accepted;
  Receipt running;
  std::optional<Interruption> interrupted;  // of `running`
  Receipt waits_for_worker;
  std::vector<Receipt> revoked;
  std::vector<std::string> revoked_for;
  std::vector<Settled> settled;
};

inline const FunctionName kResize{.id = "01RESIZE", .space = "default", .name = "resize"};
inline const FunctionName kMail{.id = "01MAIL", .space = "default", .name = "mail"};
inline const FunctionName kLab{.id = "01LAB", .space = "lab", .name = "probe"};
inline constexpr Duration kLease = minutes(1);

class Conformance : public ::testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override { open({}); }
  void open(const QueueLimits& limits);
  void reopen();

  LeaseQueue& queue() { return subject_->queue(); }
  Outbox& outbox() { return subject_->outbox(); }
  Invocations& invocations() { return subject_->invocations(); }
  WallTime now() const { return clock_.wall(); }

  // Turns the loop until `met`, which must come soon by the machine's clock; the test's clock stands still.
  void until(const std::function<bool()>& met);
  // The test's clock goes on, and what is due by then is begun.
  void pass(Duration time);

  // What `call(done)` answers.
  template <class T, class Call>
  Result<T> answer_of(Call call) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    call([result](Result<T> answer) { *result = std::move(answer); });
    until([&] { return result->has_value(); });
    std::optional<Result<T>>& answer = *result;
    if (!answer) return fail(Code::kTimeout, Component::kQueue, "no_answer_in_time", "");
    return std::move(*answer);
  }

  net::Body body_of(std::string_view bytes);
  Submission submission(const FunctionName& function, std::string id, std::string_view body = "");
  Result<Accepted> enqueue(Submission submission);
  // Accepts one that must be; answers its id.
  std::string accept(const FunctionName& function, std::string id);
  std::string accept(Submission submission);

  // The next one that is due; nullopt when there is none.
  std::optional<Result<Lease>> try_take(Duration lease = kLease, Turn turn = Turn::kInLine);
  // One that must be there.
  Lease take(Duration lease = kLease, Turn turn = Turn::kInLine);
  // The ids of all that may be taken now, in order, and the leases with them.
  std::vector<std::string> take_all(std::vector<Lease>* leases = nullptr);

  Attempt attempt(const Lease& lease, int status, std::string reason = "");
  Settlement succeeded(const Lease& lease, std::string_view answer);
  Settlement failed(const Lease& lease, std::string_view answer);
  Settlement retried(const Lease& lease, WallTime at);
  Status settle(const Lease& lease, Settlement settlement);
  // Accepts one, runs it, settles it; answers its id.
  std::string run(const FunctionName& function, std::string id, std::string callback_url = "");
  std::string run_and_fail(const FunctionName& function, std::string id, std::string callback_url = "");

  Status cancel(const std::string& id, const FunctionName& function = kResize);
  Status redrive(const std::string& id, const FunctionName& function = kResize);
  Status redeliver(const std::string& id, const FunctionName& function = kResize);
  Result<Record> find(const std::string& id, const FunctionName& function = kResize);
  State state_of(const std::string& id, const FunctionName& function = kResize);
  Delivery delivery_of(const std::string& id, const FunctionName& function = kResize);
  Result<StoredAnswer> answer(const std::string& id, const FunctionName& function = kResize);
  Listing list(const Filter& filter, std::size_t limit = 10, const std::string& cursor = "");
  std::vector<std::string> ids(const Filter& filter);

  std::optional<Result<DueDelivery>> try_take_delivery();
  DueDelivery take_delivery();

  ManualClock clock_;
  net::Loop loop_{clock_};
  net::BodyBudget bodies_;
  Watcher watcher_;
  int deliveries_wanted_ = 0;
  MayRun may_run_ = [](const FunctionName&) { return Gate::kOpen; };
  std::unique_ptr<Subject> subject_;
};

// All of a body that is read piece by piece.
std::string bytes_of(AnswerReader& reader, std::size_t piece);
std::string bytes_of(const net::Body& body);
std::string bytes_of(const DueDelivery& delivery);
// Bytes of all values, zero among them.
std::string binary(std::size_t size);

}  // namespace sterna::queue::testing
