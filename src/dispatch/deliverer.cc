#include "dispatch/deliverer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "callback/target.h"
#include "callback/verdict.h"
#include "dispatch/delivery_policy.h"
#include "invoke/timings.h"
#include "net/http_parser.h"
#include "wire/messages.h"

namespace sterna::dispatch {
namespace {

constexpr std::array<std::string_view, 8> kOurs{"x-function-status", "x-function-name",    "x-function-space",
                                                "x-call-id",         "x-duration-seconds", "x-start-time",
                                                "x-attempt",         "content-length"};
constexpr std::size_t kMaxSpacesRemembered = 1024;

// A stored answer, for the sender.
class StoredSource final : public callback::BodySource {
 public:
  explicit StoredSource(std::unique_ptr<queue::AnswerReader> reader) : reader_(std::move(reader)) {}
  std::uint64_t size() const override { return reader_->size(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
    piece_.clear();
    const auto got = reader_->read(offset, into.size(), piece_);
    if (!got) return got;
    if (*got == 0)
      return fail(Code::kNotFound, Component::kQueue, "no_answer", "the answer is not kept any more");
    std::memcpy(into.data(), piece_.data(), *got);
    return *got;
  }

 private:
  const std::unique_ptr<queue::AnswerReader> reader_;
  std::string piece_;
};

callback::Headers headers_of(const queue::DueDelivery& delivery) {
  callback::Headers headers;
  wire::HeaderWalk walk(delivery.headers, delivery.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    const bool ours =
        std::ranges::any_of(kOurs, [&](std::string_view own) { return net::equal_ignoring_case(own, name); });
    if (!ours) headers.emplace_back(name, value);
  }
  headers.emplace_back("X-Function-Status", std::to_string(delivery.status_code));
  headers.emplace_back("X-Function-Name", delivery.function.name);
  headers.emplace_back("X-Function-Space", delivery.function.space);
  headers.emplace_back("X-Call-Id", delivery.id);
  std::string seconds;
  invoke::append_seconds(seconds, delivery.duration);
  headers.emplace_back("X-Duration-Seconds", std::move(seconds));
  headers.emplace_back("X-Start-Time", format_rfc3339(delivery.started_at));
  headers.emplace_back("X-Attempt", std::to_string(delivery.attempt));
  return headers;
}

std::vector<std::string> secrets_of(const registry::Space& space, WallTime now) {
  std::vector<std::string> secrets{space.signing.current};
  if (space.signing.previous_holds(now)) secrets.push_back(space.signing.previous);
  return secrets;
}

}  // namespace

Deliverer::Deliverer(net::Loop& loop, invoke::FunctionTable& functions, queue::Outbox& outbox,
                     callback::Sender& sender, OnDelivery on_delivery)
    : loop_(loop),
      functions_(functions),
      outbox_(outbox),
      sender_(sender),
      on_delivery_(std::move(on_delivery)) {
  outbox_.on_due([this, alive = alive_] {
    if (*alive) loop_.at_turn_end(*this);
  });
}

Deliverer::~Deliverer() {
  *alive_ = false;
  loop_.forget(*this);
}

void Deliverer::on_turn_end() {
  while (!draining_ && sending_ < kMaxDeliveries) {
    ++sending_;
    const bool taken = outbox_.take_delivery([this, alive = alive_](Result<queue::DueDelivery> delivery) {
      if (!*alive) return;
      if (delivery) return send(std::move(*delivery));
      --sending_;
    });
    if (taken) continue;
    --sending_;
    return;
  }
}

void Deliverer::send(queue::DueDelivery delivery) {
  Under under{
      .seq = delivery.seq, .function = delivery.function, .tried = delivery.tried, .since = delivery.since};
  const auto space = functions_.find_space(delivery.function.space);
  // Another one of that name has another secret, and other owners.
  if (!space || delivery.function.space_made_at.value_or(space->created_at) != space->created_at) {
    return ended(under, callback::undeliverable("the space was deleted"));
  }
  callback::Post post{.url = delivery.callback_url,
                      .headers = headers_of(delivery),
                      .webhook_id = delivery.id,
                      .secrets = secrets_of(*space, loop_.clock().wall()),
                      .allow = allowed(space),
                      .body = std::move(delivery.body),
                      .large_body = {}};
  if (delivery.large) post.large_body = std::make_unique<StoredSource>(std::move(delivery.large));
  sender_.post(std::move(post), [this, alive = alive_, under = std::move(under),
                                 url = delivery.callback_url](const callback::PostResult& result) {
    if (!*alive) return;
    note_reach(url, result);
    ended(under, result);
  });
}

void Deliverer::note_reach(const std::string& url, const callback::PostResult& result) {
  const auto target = callback::parse_target(url);
  if (target) reach_.note(target->origin(), result, loop_.now());
}

void Deliverer::ended(const Under& under, const callback::PostResult& result) {
  --sending_;
  const invoke::FunctionEntry* entry = functions_.find_id(under.function.id);
  queue::DeliveryEnd end = decide(
      result,
      {.tried = under.tried,
       .max_attempts = entry == nullptr ? api::CallbackPolicy{}.max_attempts : entry->callback.max_attempts,
       .waited = loop_.clock().now() - under.since,
       .now = loop_.clock().wall(),
       .random = std::uniform_real_distribution<>(0, 1)(random_)});
  if (end.tried) on_delivery_(under.function, end.tried->outcome);
  outbox_.end_delivery(under.seq, std::move(end));
  loop_.at_turn_end(*this);
}

std::shared_ptr<const callback::AllowList> Deliverer::allowed(
    const std::shared_ptr<const registry::Space>& space) {
  if (space->spec.callback_allow.empty()) return nullptr;
  if (allowed_.size() >= kMaxSpacesRemembered) allowed_.clear();
  Allowed& known = allowed_[space->spec.name];
  if (known.space != space) {
    auto list = callback::AllowList::parse(space->spec.callback_allow);  // it was checked when it was set
    known = {space, list ? std::make_shared<const callback::AllowList>(std::move(*list)) : nullptr};
  }
  return known.list;
}

}  // namespace sterna::dispatch
