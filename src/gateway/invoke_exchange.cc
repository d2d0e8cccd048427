#include "gateway/invoke_exchange.h"

#include <string>

#include "gateway/cors.h"
#include "gateway/problem_answer.h"
#include "gateway/timings.h"
#include "invoke/answer_headers.h"

namespace sterna::gateway {

void InvokeExchange::charge(net::Loop& loop, Meters meters) {
  loop_ = &loop;
  meters_ = std::move(meters);
}

void InvokeExchange::count(std::string_view part) const {
  if (meters_.any()) meters_.take_bytes(part.size(), loop_->now());
}

void InvokeExchange::start(net::HttpConnection& connection, invoke::FunctionEntry& entry, std::string call_id,
                           std::string request, MonotonicTime arrived) {
  connection_ = &connection;
  untaken_ = 0;
  streaming_ = false;
  connection_->observe(this);
  const net::Body& body = connection_->body();
  if (connection_->body_is_whole()) {
    return invocation_.start(entry, std::move(call_id), std::move(request),
                             body.size() == 0 ? nullptr : &body, arrived);
  }
  connection_->observe_body(this);
  counted_ = body.size();
  invocation_.start(entry, std::move(call_id), std::move(request), &body, arrived, wire::More::kYes);
}

void InvokeExchange::on_body() {
  const std::uint64_t size = connection_->body().size();
  if (meters_.any()) meters_.take_bytes(size - std::exchange(counted_, size), loop_->now());
  invocation_.body_grew(connection_->body_is_whole() ? wire::More::kNo : wire::More::kYes);
}

void InvokeExchange::on_body_refused(unsigned status, const Error& error) {
  invocation_.cancel(error.detail);
  answer_invocation_error(*connection_, status, error, invocation_.call_id());
  end();
}

void InvokeExchange::on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) {
  connection_->begin(head.status);
  copy_headers(head);
  add_timings(*connection_, invocation_.timings());
  add_version();
  if (head.status >= 400) connection_->header("X-Sterna-Fault", "function");
  count(body);
  if (more == wire::More::kNo) {
    connection_->send(body);
    return end();
  }
  streaming_ = true;
  connection_->begin_stream(head.content_length == wire::kUnknownLength ? std::nullopt
                                                                        : std::optional(head.content_length));
  connection_->write(body);
  untaken_ = static_cast<std::uint32_t>(body.size());
}

void InvokeExchange::on_part(std::string_view part, wire::More more) {
  count(part);
  connection_->write(part);
  untaken_ += static_cast<std::uint32_t>(part.size());
  if (more == wire::More::kYes) return;
  connection_->finish();
  end();
}

// A stream that breaks cannot be answered any more: the connection is cut, so that the client sees that the
// answer is not whole.
void InvokeExchange::on_failure(const invoke::FailureInfo& failure) {
  if (streaming_) {
    connection_->observe(nullptr);
    connection_->abort();
    return end();
  }
  const std::string body = begin_failure(*connection_, failure, invocation_.call_id());
  add_timings(*connection_, invocation_.timings());
  add_version();
  connection_->send(body);
  end();
}

void InvokeExchange::copy_headers(const wire::ResponseHead& head) {
  invoke::for_each_answer_header(head, [this](std::string_view name, std::string_view value) {
    copy_function_header(*connection_, name, value);
  });
  connection_->header("X-Call-Id", invocation_.call_id());
}

// A call that no worker was found for was run by none.
void InvokeExchange::add_version() {
  if (invocation_.version() != 0)
    connection_->header("X-Function-Version", std::to_string(invocation_.version()));
}

void InvokeExchange::on_client_gone() {
  connection_ = nullptr;
  invocation_.cancel();
  end();
}

void InvokeExchange::on_drained() {
  if (untaken_ == 0) return;
  if (meters_.any()) {
    loop_->cancel(pause_);
    if (const Duration wait = meters_.bytes_wait(loop_->now()); wait > Duration::zero()) {
      pause_ = loop_->after(wait, [this] { on_drained(); });
      return;
    }
  }
  invocation_.grant(std::exchange(untaken_, 0));
}

void InvokeExchange::end() {
  if (connection_ != nullptr) {
    connection_->observe(nullptr);
    connection_->observe_body(nullptr);
  }
  if (loop_ != nullptr) loop_->cancel(pause_);
  loop_ = nullptr;
  meters_ = {};
  done_(*this);  // it may be gone now
}

}  // namespace sterna::gateway
