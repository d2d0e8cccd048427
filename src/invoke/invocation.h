// One run of a function, from admission to outcome. Every way to run a function goes through here.
#pragma once

#include <string>
#include <string_view>

#include "invoke/failures.h"
#include "invoke/function_table.h"
#include "invoke/timings.h"
#include "pool/call.h"

namespace sterna::invoke {

// Who waits for the outcome. One final event comes: `on_failure`, or the part with More::kNo.
class OutcomeObserver {
 public:
  virtual ~OutcomeObserver() = default;
  virtual void on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) = 0;
  virtual void on_part(std::string_view part, wire::More more) = 0;
  // After on_answer it means that the stream broke.
  virtual void on_failure(const FailureInfo& failure) = 0;
};

// Owned by its observer; ends its run when destroyed. Loop only.
class Invocation final : private pool::CallObserver {
 public:
  Invocation(FunctionTable& table, OutcomeObserver& observer) : table_(table), observer_(observer) {}
  ~Invocation() override;
  Invocation(const Invocation&) = delete;
  Invocation& operator=(const Invocation&) = delete;

  // An empty string, with the memory of the run before if there was one.
  std::string request_memory();
  // `request` is the payload of a REQUEST frame without body; `body` (null: none) must outlive the run, and
  // grows when there is `more` of it to come: see body_grew. The entry must be running (admit). The outcome
  // may come before this returns. Again only after the run before has ended.
  void start(FunctionEntry& entry, std::string call_id, std::string request, const net::Body* body,
             MonotonicTime arrived, wire::More more = wire::More::kNo);
  // More of the body is there; kNo: it is whole.
  void body_grew(wire::More more) {
    if (call_.pending()) call_.body_grew(more);
  }
  // The observer is not interested any more. `why` is for the function's log.
  void cancel(std::string_view why = "the caller went away");
  // The observer has passed on so many bytes of the answer.
  void grant(std::uint32_t bytes) {
    if (call_.pending()) call_.grant(bytes);
  }

  const std::string& call_id() const { return call_.id; }
  Timings timings() const;
  // Whether a worker runs it or has run it, as far as the server can see.
  bool has_begun() const { return call_.started != MonotonicTime{}; }
  // The worker that ran it; empty before it was handed to one.
  const std::string& instance() const { return call_.instance; }
  // The version that ran; 0 before it was handed to a worker.
  std::uint32_t version() const { return call_.version; }

 private:
  void on_response(pool::Call& call, const wire::ResponseHead& head, std::string_view body,
                   wire::More more) override;
  void on_body(pool::Call& call, std::string_view part, wire::More more) override;
  void on_failed(pool::Call& call, pool::Failure failure, std::string_view detail) override;
  void end_answered();
  // Before the observer is told: it may destroy us. `reason` empty: the answer is whole.
  void tell_watchers(unsigned status, std::string_view reason) const;

  FunctionTable& table_;
  OutcomeObserver& observer_;
  FunctionEntry* entry_ = nullptr;  // stays while the call is pending
  pool::Call call_;
  unsigned status_ = 0;  // of the answer, once it has begun
};

// Whether calls to the function are taken now: nullptr, or why not.
const FailureInfo* admit(const FunctionEntry& entry);

}  // namespace sterna::invoke
