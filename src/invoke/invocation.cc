#include "invoke/invocation.h"

namespace sterna::invoke {
namespace {

using registry::FunctionStatus;

constexpr FailureInfo kNotReady{503,
                                "function_not_running",
                                Component::kRegistry,
                                Fault::kPlatform,
                                "the function is still being built; try again in a moment",
                                1};
constexpr unsigned kCodeSeconds = 5;  // somebody has to send it
constexpr FailureInfo kNoCode{503,
                              "function_not_running",
                              Component::kRegistry,
                              Fault::kPlatform,
                              "the function has no code yet; send it with PUT .../code or `sterna deploy`",
                              kCodeSeconds};
constexpr FailureInfo kStopped{503,
                               "function_not_running",
                               Component::kRegistry,
                               Fault::kPlatform,
                               "the function is stopped; start it with POST .../start",
                               0};
constexpr FailureInfo kFailed{503,
                              "function_not_running",
                              Component::kRegistry,
                              Fault::kPlatform,
                              "the function has failed; its status_reason and its log tell why",
                              0};

}  // namespace

const FailureInfo* admit(const FunctionEntry& entry) {
  switch (entry.status) {
    case FunctionStatus::kPending:
      return entry.has_code ? &kNotReady : &kNoCode;
    case FunctionStatus::kBuilding:
      return &kNotReady;
    case FunctionStatus::kStopped:
      return &kStopped;
    case FunctionStatus::kFailed:
      return &kFailed;
    case FunctionStatus::kRunning:
      break;
  }
  return entry.active ? nullptr : &kNotReady;
}

Invocation::~Invocation() {
  cancel();
}

std::string Invocation::request_memory() {
  constexpr std::size_t kKept = 4U << 10;
  std::string memory = std::exchange(call_.request, {});
  if (memory.capacity() > kKept) return {};
  memory.clear();
  return memory;
}

void Invocation::start(FunctionEntry& entry, std::string call_id, std::string request, const net::Body* body,
                       MonotonicTime arrived, wire::More more) {
  entry_ = &entry;
  status_ = 0;
  call_.clear();
  call_.observer = this;
  call_.id = std::move(call_id);
  call_.request = std::move(request);
  call_.body = body;
  call_.body_more = more;
  call_.arrived = arrived;
  table_.submit(entry, call_);
}

void Invocation::cancel(std::string_view why) {
  if (!call_.pending()) return;
  call_.cancel();
  entry_->metrics->failed(pool::Failure::kCancelled, {});
  table_.log(*entry_, call_.id, std::string(why) + "; the call was cancelled");
  tell_watchers(0, "cancelled");
}

Timings Invocation::timings() const {
  const Duration until_sent =
      call_.dispatched == MonotonicTime{} ? Duration::zero() : call_.dispatched - call_.arrived;
  if (!call_.cold) return {.queued = call_.queued, .run = call_.run};
  return {.queued = until_sent, .cold = call_.queued - until_sent, .run = call_.run, .was_cold = true};
}

void Invocation::end_answered() {
  entry_->metrics->answered(call_.queued + call_.run);
  tell_watchers(status_, {});
}

void Invocation::tell_watchers(unsigned status, std::string_view reason) const {
  const RunWatch& watch = table_.run_watch();
  if (!watch.wanted(entry_->id)) return;
  wire::RequestHead request;
  std::string_view body;
  STERNA_ASSERT(wire::read_request(call_.request, request, body));  // we made it
  watch.ended(*entry_, {.call_id = call_.id,
                        .instance = call_.instance,
                        .version = call_.version,
                        .method = request.method,
                        .path = request.path,
                        .query = request.query,
                        .status = status,
                        .reason = reason,
                        .timings = timings()});
}

void Invocation::on_response(pool::Call&, const wire::ResponseHead& head, std::string_view body,
                             wire::More more) {
  status_ = head.status;
  if (more == wire::More::kNo) end_answered();
  observer_.on_answer(head, body, more);
}

void Invocation::on_body(pool::Call&, std::string_view part, wire::More more) {
  if (more == wire::More::kNo) end_answered();
  observer_.on_part(part, more);
}

void Invocation::on_failed(pool::Call& call, pool::Failure failure, std::string_view detail) {
  entry_->metrics->failed(failure, call.queued + call.run);
  if (info_of(failure).was_begun) {
    std::string text(info_of(failure).reason);
    table_.log(*entry_, call.id, text.append(": ").append(detail));
  }
  tell_watchers(status_ != 0 ? status_ : info_of(failure).status, info_of(failure).reason);
  observer_.on_failure(info_of(failure));
}

}  // namespace sterna::invoke
