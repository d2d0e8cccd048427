#include "native/lambda/lambda_run.h"

#include <algorithm>

namespace sterna::native {
namespace {

constexpr Duration kEndGrace = std::chrono::milliseconds(50);

}  // namespace

LambdaRun::LambdaRun(LambdaRuns& runs, net::Loop& loop, Exchange& exchange, std::string id, WallTime deadline)
    : runs_(runs), loop_(loop), exchange_(exchange), id_(std::move(id)), deadline_(deadline) {}

LambdaRun::~LambdaRun() {
  loop_.cancel(end_timer_);
  if (carrier_ != nullptr) carrier_->on_run_over();
  runs_.remove(*this);
}

void LambdaRun::answer(std::string payload) {
  state_ = State::kAnswered;
  carrier_ = nullptr;
  if (exchange_.ended()) return;
  if (cancelled_) return end_cancelled();
  auto read = read_answer(std::move(payload));
  if (!read) return refuse(read.error().detail);
  held_ = std::move(read->body);
  const std::size_t now = std::min<std::size_t>(held_.size(), exchange_.window());
  held_sent_ = now;
  exchange_.respond(read->head.status, read->head.header_count, read->head.headers, held_.size(),
                    std::string_view(held_).substr(0, now),
                    now == held_.size() ? wire::More::kNo : wire::More::kYes);
}

void LambdaRun::begin_answer(AnswerCarrier& carrier) {
  state_ = State::kAnswering;
  carrier_ = &carrier;
}

void LambdaRun::begin_stream(StreamKind kind, std::string_view content_type) {
  awaits_prelude_ = kind == StreamKind::kWithPrelude;
  if (!awaits_prelude_) {
    head_.add("Content-Type", content_type.empty() ? "application/octet-stream" : content_type);
  }
}

std::size_t LambdaRun::room() const {
  return cancelled_ || exchange_.ended() ? SIZE_MAX : exchange_.window();
}

void LambdaRun::stream(std::string_view part) {
  if (cancelled_ || exchange_.ended()) return;
  if (awaits_prelude_) {
    const auto complete = prelude_.take(part);
    if (!complete) return refuse(complete.error().detail);
    if (!*complete) return;
    awaits_prelude_ = false;
    head_ = std::move(prelude_.head());
    if (part.empty()) return send({}, wire::More::kYes);
  }
  if (!part.empty()) send(part, wire::More::kYes);
}

void LambdaRun::end_stream() {
  state_ = State::kAnswered;
  carrier_ = nullptr;
  if (exchange_.ended()) return;
  if (cancelled_) return end_cancelled();
  if (awaits_prelude_) {
    return refuse(
        "the stream ended before the JSON and the 8 zero bytes that its type promises: write to it at "
        "least once");
  }
  send({}, wire::More::kNo);
}

void LambdaRun::send(std::string_view part, wire::More more) {
  if (exchange_.answered()) return exchange_.part(part, more);
  exchange_.respond(head_.status, head_.header_count, head_.headers,
                    more == wire::More::kNo ? part.size() : wire::kUnknownLength, part, more);
}

void LambdaRun::on_window() {
  if (!held_.empty()) return send_held();
  if (carrier_ != nullptr) carrier_->on_room();
}

void LambdaRun::send_held() {
  while (!exchange_.ended() && exchange_.window() > 0) {
    const std::size_t room = std::min<std::size_t>(exchange_.window(), wire::kMaxBodyPart);
    const std::string_view part = std::string_view(held_).substr(held_sent_, room);
    held_sent_ += part.size();
    exchange_.part(part, held_sent_ == held_.size() ? wire::More::kNo : wire::More::kYes);
  }
}

void LambdaRun::raise(const ReportedError& error) {
  state_ = State::kAnswered;
  carrier_ = nullptr;
  if (exchange_.ended()) return;
  if (cancelled_) return end_cancelled();
  exchange_.note(error.text());
  exchange_.fail(wire::FailKind::kRaised, error.summary());
}

void LambdaRun::refuse(const std::string& why) {
  if (exchange_.ended()) return;
  if (cancelled_) return end_cancelled();
  exchange_.note("the function's answer cannot be used: " + why);
  exchange_.fail(wire::FailKind::kBadResponse, why);
}

void LambdaRun::break_off() {
  state_ = State::kAnswered;
  carrier_ = nullptr;
  end_timer_ = loop_.after(
      kEndGrace, [this] { refuse("its connection to the Runtime API closed before it was whole"); });
}

void LambdaRun::cancel() {
  cancelled_ = true;
  // What runs in the program cannot be stopped: the pool ends the worker when it takes long. What nobody runs
  // any more ends here.
  if (state_ == State::kOffered || state_ == State::kAnswered) return end_cancelled();
  if (carrier_ != nullptr) carrier_->on_room();
}

void LambdaRun::end_cancelled() {
  if (!exchange_.ended()) exchange_.fail(wire::FailKind::kCancelled, "cancelled");
}

}  // namespace sterna::native
