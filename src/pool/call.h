// One run of a function on its way through the pool: waiting, in a worker, answered.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/body.h"
#include "wire/messages.h"

namespace sterna::pool {

class Call;
class FunctionPool;
class Worker;

// Why a call got no (whole) answer.
enum class Failure : std::uint8_t {
  kRaised,       // the handler raised
  kBadResponse,  // the handler's answer is unusable
  kWorkerDied,   // the process ended during the call
  kOutOfMemory,  // the process was killed for its memory
  kTimeout,      // the run was over its time
  kNoCapacity,   // no free worker in time, or the waiting line is full
  kNotRunning,   // the function stopped, failed or was deleted while the call waited
  kStopped,      // the function was deleted, or the server ends, while the call was in a worker
  kCancelled,    // the caller went away
  kSpaceFull,    // as kNoCapacity, and more workers would be over the space's quota
  kCannotStart,  // the machine gives nothing to start a worker with, and none was there in time
  kServerFull,   // as kNoCapacity, and the server runs as many workers as it may
  kLoading,      // as kNoCapacity, and no worker has loaded yet
  kEndsAtStart,  // as kNoCapacity, and the function's workers end while they start
};
inline constexpr std::size_t kFailures = static_cast<std::size_t>(Failure::kEndsAtStart) + 1;  // the last one

// Who waits for the outcome. Exactly one final event comes: `on_failed`, or the part with More::kNo; after it
// the pool has forgotten the call.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // The answer's head is checked: status and header names and values are well formed.
  virtual void on_response(Call& call, const wire::ResponseHead& head, std::string_view body,
                           wire::More more) = 0;
  virtual void on_body(Call& call, std::string_view part, wire::More more) = 0;
  // May come after on_response, when a stream breaks. `detail` is for the function's log.
  virtual void on_failed(Call& call, Failure failure, std::string_view detail) = 0;
};

using CallHook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

// Owned by its observer; it must outlive its time in the pool (FunctionPool::cancel takes it out).
class Call : public CallHook {
 public:
  // --- set by the observer before submit ---
  CallObserver* observer = nullptr;
  std::string id;                          // the call id that users see
  std::string request;                     // payload of its REQUEST frame, without the body
  const net::Body* body = nullptr;         // null: none
  wire::More body_more = wire::More::kNo;  // kYes: more of the body comes, as body_grew tells
  MonotonicTime arrived;

  // --- filled by the pool ---
  MonotonicTime started;      // when the run began, as far as the server can see
  MonotonicTime dispatched;   // when it was handed to a worker, which may still have been starting
  Duration queued{};          // from arrival to the start of the run
  Duration run{};             // of the handler, as the worker measured it; set before the final event
  bool cold = false;          // a worker had to be started for it
  std::string instance;       // the worker that has it or ran it; empty before it was handed to one
  std::uint32_t version = 0;  // of the function, as that worker runs it; 0 before it was handed to one

  // Forgets the run before, keeps the memory. Needs not pending().
  void clear();

  // Whether the pool still has it; then its observer waits for a final event.
  bool pending() const { return pool_ != nullptr; }
  // The caller is gone: the pool forgets the call and stops its run. Needs pending().
  void cancel();
  // More of the body is there; kNo: it is whole. Needs pending().
  void body_grew(wire::More more);
  // The observer has taken `bytes` of the response. Needs pending().
  void grant(std::uint32_t bytes);

 private:
  friend class Worker;
  friend class FunctionPool;
  FunctionPool* pool_ = nullptr;  // null when the pool has not got it, or no more
  Worker* worker_ = nullptr;
  std::uint16_t slot_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t body_sent_ = 0;    // bytes of the body written to the worker
  std::uint64_t body_window_ = 0;  // body bytes that may be written beyond those
  bool body_ended_ = false;        // the worker has been told the body's end
  MonotonicTime timed_since_;      // since then the function has all it needs; max: it waits for its caller
  std::uint64_t window_ = 0;       // response bytes the worker may still send
  std::uint32_t taken_ = 0;  // response bytes that the observer has taken and the worker has not been told of
  bool answered_ = false;    // RESPONSE has come
  std::uint64_t left_ = 0;   // response bytes that RESPONSE has announced and that have not come (count_body)
};

using CallList = boost::intrusive::list<Call, boost::intrusive::constant_time_size<true>>;

}  // namespace sterna::pool
