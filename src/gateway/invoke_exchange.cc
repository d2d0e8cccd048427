#include "gateway/invoke_exchange.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "gateway/function_request.h"
#include "gateway/problem_answer.h"

namespace sterna::gateway {
namespace {

using net::equal_ignoring_case;

// Appends `count` as a decimal number with `digits` digits after the point: 1234 with 3 is "1.234".
void append_decimal(std::string& out, Duration::rep count, std::size_t digits) {
  std::array<char, 24> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), std::max<Duration::rep>(count, 0)).ptr;
  std::string_view number(text.data(), static_cast<std::size_t>(end - text.data()));
  if (number.size() <= digits) {
    out += "0.";
    out.append(digits - number.size(), '0');
  } else {
    out += number.substr(0, number.size() - digits);
    out += '.';
    number.remove_prefix(number.size() - digits);
  }
  out += number;
}

void append_milliseconds(std::string& out, std::string_view name, Duration duration) {
  out += name;
  append_decimal(out, duration / std::chrono::microseconds(1), 3);
}

// Headers of an answer that are the platform's to set.
bool is_ours(std::string_view name) {
  return equal_ignoring_case(name, "content-length") || equal_ignoring_case(name, "x-call-id") ||
         equal_ignoring_case(name, "x-duration-seconds") || equal_ignoring_case(name, "server-timing") ||
         equal_ignoring_case(name, "x-sterna-fault");
}

}  // namespace

void InvokeExchange::start(invoke::FunctionEntry& entry, std::string call_id, std::string request,
                           MonotonicTime arrived) {
  connection_->observe(this);
  const net::Body* body = connection_->body().size() == 0 ? nullptr : &connection_->body();
  invocation_.start(entry, std::move(call_id), std::move(request), body, arrived);
}

void InvokeExchange::on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) {
  connection_->begin(head.status);
  copy_headers(head);
  add_timings();
  if (head.status >= 400) connection_->header("X-Sterna-Fault", "function");
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
  add_timings();
  connection_->send(body);
  end();
}

void InvokeExchange::copy_headers(const wire::ResponseHead& head) {
  wire::HeaderWalk walk(head.headers, head.header_count);
  std::string_view name;
  std::string_view value;
  std::string_view connection;
  while (walk.next(name, value)) {
    if (equal_ignoring_case(name, "connection")) connection = value;
  }
  walk = wire::HeaderWalk(head.headers, head.header_count);
  while (walk.next(name, value)) {
    if (!is_ours(name) && !is_hop_by_hop(name, connection)) connection_->header(name, value);
  }
  connection_->header("X-Call-Id", invocation_.call_id());
}

void InvokeExchange::add_timings() {
  const invoke::Timings timings = invocation_.timings();
  std::string text;
  append_decimal(text, (timings.queued + timings.cold + timings.run) / std::chrono::microseconds(1), 6);
  connection_->header("X-Duration-Seconds", text);
  text.clear();
  append_milliseconds(text, "queue;dur=", timings.queued);
  if (timings.was_cold) append_milliseconds(text, ", cold;dur=", timings.cold);
  append_milliseconds(text, ", run;dur=", timings.run);
  connection_->header("Server-Timing", text);
}

void InvokeExchange::on_client_gone() {
  connection_ = nullptr;
  invocation_.cancel();
  end();
}

void InvokeExchange::on_drained() {
  if (untaken_ > 0) invocation_.grant(std::exchange(untaken_, 0));
}

void InvokeExchange::end() {
  if (connection_ != nullptr) connection_->observe(nullptr);
  done_(*this);  // it is gone now
}

}  // namespace sterna::gateway
