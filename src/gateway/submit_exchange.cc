#include "gateway/submit_exchange.h"

#include "api/json.h"
#include "api/problem.h"
#include "gateway/answer_stream.h"
#include "gateway/invocation_json.h"
#include "gateway/problem_answer.h"
#include "gateway/timings.h"
#include "queue/failures.h"

namespace sterna::gateway {
namespace {

// As those of a run that nobody had to keep first: it waited from its acceptance on.
invoke::Timings timings_of(WallTime accepted_at, const queue::Attempt& attempt) {
  return {.queued = attempt.started_at - accepted_at + attempt.queued,
          .cold = attempt.starting,
          .run = attempt.duration - attempt.queued - attempt.starting,
          .was_cold = attempt.cold};
}

Error server_ends() {
  return {
      Code::kUnavailable, Component::kQueue, "function_not_running",
      "the server ends before the call; it runs after the next start, and the same key gets its answer then"};
}

}  // namespace

void SubmitExchange::start(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                           net::HttpConnection& connection, queue::Submission submission, const Plan& plan,
                           Meters meters) {
  auto exchange = std::make_shared<SubmitExchange>(loop, reading, parts, connection, submission.function,
                                                   submission.id, plan, std::move(meters));
  connection.observe(exchange.get());
  parts.queue.enqueue(std::move(submission), [exchange](Result<queue::Accepted> accepted) {
    exchange->on_accepted(std::move(accepted));
  });
}

void SubmitExchange::on_client_gone() {
  connection_ = nullptr;
  stop_waiting();
}

void SubmitExchange::on_server_ends() {
  if (plan_.answer != Answer::kPreferAsync || !waiting_) return;
  const auto keep = shared_from_this();
  stop_waiting();
  answer_as_it_is();
}

void SubmitExchange::on_accepted(Result<queue::Accepted> accepted) {
  if (connection_ == nullptr) return;  // it is accepted all the same, and runs
  if (!accepted) return refuse(accepted.error());
  call_id_ = accepted->id;
  repeated_ = accepted->repeated;
  if (plan_.answer == Answer::kAccepted ||
      (plan_.answer == Answer::kPreferAsync && plan_.wait <= Duration::zero())) {
    // A new one waits; of an earlier one it is not known here whether a worker has it.
    if (repeated_ && accepted->state == queue::State::kQueued) return answer_as_it_is();
    return answer_accepted(accepted->state);
  }
  await();
  if (queue::is_settled(accepted->state)) on_ended();
}

void SubmitExchange::refuse(const Error& error) {
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.observe(nullptr);
  answer_invocation_error(connection, static_cast<unsigned>(api::http_status(error)), error, call_id_);
}

void SubmitExchange::await() {
  // The waiter and the timer keep the exchange alive.
  waiting_ = parts_.settlements.wait(function_.id, call_id_, [self = shared_from_this()](WaitEnd end) {
    if (end == WaitEnd::kSettled) return self->on_ended();
    self->stop_waiting();
    if (self->connection_ == nullptr) return;
    self->refuse(end == WaitEnd::kServerEnds ? server_ends() : queue::function_gone().error());
  });
  if (plan_.answer != Answer::kPreferAsync) return;
  timer_ = loop_.after(plan_.wait, [self = shared_from_this()] {
    self->stop_waiting();
    if (self->connection_ != nullptr) self->answer_as_it_is();
  });
}

void SubmitExchange::stop_waiting() {
  const auto keep = shared_from_this();
  if (waiting_) parts_.settlements.forget(*std::exchange(waiting_, std::nullopt));
  loop_.cancel(timer_);
}

void SubmitExchange::answer_accepted(queue::State state) {
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.observe(nullptr);
  connection.begin(202);
  connection.header("Content-Type", "application/json");
  connection.header("X-Call-Id", call_id_);
  connection.header("Location", location_of(function_, call_id_));
  if (plan_.answer == Answer::kPreferAsync) connection.header("Preference-Applied", "respond-async");
  if (repeated_) connection.header("Idempotency-Replayed", "true");
  connection.send(std::string(R"({"id":")")
                      .append(call_id_)
                      .append(R"(","state":")")
                      .append(queue::to_string(state))
                      .append("\"}"));
}

void SubmitExchange::answer_as_it_is() {
  parts_.invocations.find(function_.id, call_id_, [self = shared_from_this()](Result<queue::Record> record) {
    if (self->connection_ == nullptr) return;
    if (record && queue::is_settled(record->state) && self->plan_.answer == Answer::kPreferAsync)
      return self->on_ended();  // meanwhile
    if (record) return self->answer_accepted(record->state);
    if (record.error().code == Code::kNotFound) return self->refuse(record.error());
    self->answer_accepted(queue::State::kQueued);  // it is on disk, though the disk cannot be read now
  });
}

void SubmitExchange::on_ended() {
  stop_waiting();
  if (connection_ == nullptr) return;
  parts_.invocations.find(function_.id, call_id_, [self = shared_from_this()](Result<queue::Record> record) {
    if (self->connection_ == nullptr) return;
    if (!record) return self->refuse(record.error());
    self->parts_.invocations.answer(self->function_.id, self->call_id_,
                                    [self, record = std::move(*record)](Result<queue::StoredAnswer> answer) {
                                      if (self->connection_ != nullptr)
                                        self->answer_function(record, std::move(answer));
                                    });
  });
}

void SubmitExchange::answer_function(const queue::Record& record, Result<queue::StoredAnswer> answer) {
  if (record.state == queue::State::kCancelled) return answer_cancelled();
  if (!answer) return refuse(answer.error());
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.begin(static_cast<unsigned>(answer->status_code));
  connection.header("X-Call-Id", call_id_);
  if (repeated_) connection.header("Idempotency-Replayed", "true");
  // The answer of one that expired is of none of its attempts.
  if (!record.attempts.empty() && record.state != queue::State::kExpired) {
    const queue::Attempt& last = record.attempts.back();
    add_timings(connection, timings_of(record.created_at, last));
    if (last.outcome == "answered" && answer->status_code >= 400)
      connection.header("X-Sterna-Fault", "function");
  }
  AnswerStream::start(loop_, reading_, connection, std::move(*answer), meters_);
}

void SubmitExchange::answer_cancelled() {
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.observe(nullptr);
  const Error error{Code::kConflict, Component::kQueue, "cancelled", "the invocation was cancelled"};
  std::string document =
      begin_invocation_error(connection, static_cast<unsigned>(api::http_status(error)), error, call_id_);
  if (repeated_) connection.header("Idempotency-Replayed", "true");
  connection.send(std::move(document));
}

}  // namespace sterna::gateway
