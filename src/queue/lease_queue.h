// The durable queue of asynchronous invocations: accepted once, run at least once, settled exactly once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/body.h"
#include "queue/record.h"

namespace sterna::queue {

// Called on the loop, in this turn or a later one.
template <class T>
using Done = std::move_only_function<void(Result<T>)>;

// What an Idempotency-Key stands for and what the first request with it looked like.
struct IdempotencyKey {
  std::string key;          // also says whose it is
  std::string fingerprint;  // of the request; another one with the same key is refused
  WallTime forgotten_at;
};

// When its turn comes. kAtOnce: a caller waits for it as for a synchronous call, so it stands in no line and
// counts for no backlog.
enum class Turn : std::uint8_t { kInLine, kAtOnce };

// What a caller hands in.
struct Submission {
  FunctionName function;
  std::string id;       // a ULID: the call id
  std::string request;  // payload of a REQUEST frame without the body (wire/PROTOCOL.md)
  net::Body body;
  std::string callback_url;  // empty: none
  WallTime created_at;
  WallTime not_before;  // no run begins earlier
  // No run begins later. In the life of one server it is the time since the acceptance, or since
  // `not_before`, that counts; how far the wall clock is set meanwhile does not.
  WallTime expires_at;
  std::int64_t max_attempts = 0;  // 0: as the function says when it is run
  std::optional<IdempotencyKey> idempotency;
  std::optional<std::size_t> space_backlog{};  // nullopt: QueueLimits::space_backlog
  Turn turn = Turn::kInLine;                   // kAtOnce needs a `not_before` that has passed
};

struct Accepted {
  std::string id;
  State state = State::kQueued;
  bool repeated = false;  // an earlier submission with the same idempotency key; `id` is that one's
};

// How a failed or expired one is run again.
struct Redrive {
  WallTime expires_at;                         // no run begins later, as of a submission
  std::optional<std::size_t> space_backlog{};  // as of a submission
};

// Proof of a lease: settling with an old one fails with conflict, reason `stale_receipt`.
struct Receipt {
  std::uint64_t seq = 0;
  std::uint64_t epoch = 0;

  friend bool operator==(const Receipt&, const Receipt&) = default;
};

// One invocation in the hands of one runner.
struct Lease {
  Receipt receipt;
  FunctionName function;
  std::string id;
  std::string request;
  net::Body body;
  WallTime created_at;
  MonotonicTime expires_at;       // no run begins later
  std::int64_t attempt = 1;       // the number of this attempt
  std::int64_t spent = 0;         // attempts that count, since it was enqueued or redriven
  std::int64_t max_attempts = 0;  // 0: as the function says
  std::string callback_url;
  Turn turn = Turn::kInLine;
};

// What a function answered, or the problem document that stands for its failure.
struct Answer {
  int status_code = 0;
  std::uint32_t header_count = 0;
  std::string headers;  // a block (wire/messages.h) of end-to-end headers
  net::Body body;
};

// Whether an attempt that is to be repeated counts as one of those that the invocation has.
enum class Cost : std::uint8_t { kSpent, kFree };

// How an attempt ended. `retry_at`: it is run again then; else this is the end, with `state` and the answer.
// Without an attempt no run has begun: this is the end, and the idempotency key that stands for it is
// forgotten.
struct Settlement {
  std::optional<Attempt> attempt;
  std::int64_t version = 0;
  std::optional<WallTime> retry_at;
  Cost cost = Cost::kSpent;  // with `retry_at`
  State state = State::kSucceeded;
  std::string reason;
  std::optional<Answer> answer;
};

// The reason of a state that no attempt has brought about.
inline constexpr std::string_view kExpired = "invocation_expired";
inline constexpr std::string_view kCancelled = "cancelled";
inline constexpr std::string_view kFunctionDeleted = "function_deleted";
// Only of a revocation: its holder did not renew the lease in time.
inline constexpr std::string_view kLeaseOver = "lease_over";

// An attempt that a cancellation breaks off.
struct Interruption {
  Attempt attempt;  // its outcome is "cancelled"
  std::int64_t version = 0;
};

// Who wants to know what happens. On the loop.
class QueueObserver {
 public:
  virtual ~QueueObserver() = default;
  // Something may be taken now that could not before.
  virtual void on_ready() = 0;
  // A new invocation is on disk.
  virtual void on_accepted(const FunctionName& function) = 0;
  // The run is about to be cancelled: what is known of it, for the record. nullopt: it has not begun.
  virtual std::optional<Interruption> interruption(const Receipt& receipt) = 0;
  // Whether a worker runs what is leased so; else it waits for one.
  virtual bool is_running(const Receipt& receipt) = 0;
  // The lease ended before its holder settled it: stop the run. `reason`: kCancelled, kFunctionDeleted or
  // kLeaseOver.
  virtual void on_revoked(const Receipt& receipt, std::string_view reason) = 0;
  // The state is on disk. `callback` tells that a delivery is pending.
  virtual void on_settled(const FunctionName& function, const std::string& id, State state,
                          const std::string& reason, Delivery callback) = 0;
};

// Whether a run of the function may begin now. kNotNow: it is not asked for again until `wake`.
enum class Gate : std::uint8_t { kOpen, kNotNow };
using MayRun = std::function<Gate(const FunctionName&)>;

struct Depth {
  std::size_t waiting = 0;  // ready, delayed and leased
  std::size_t leased = 0;
  std::size_t running = 0;         // of the leased ones, those that a worker has
  std::optional<WallTime> oldest;  // since when the one that has been due for longest waits to be run
};

// All calls and answers on the loop's thread. Failures of the disk: unavailable, reason `queue_unavailable`.
class LeaseQueue {
 public:
  virtual ~LeaseQueue() = default;

  virtual void observe(QueueObserver& observer) = 0;

  // Answers when it is on disk. Fails with conflict `call_id_in_use`, invalid `idempotency_key_reused`,
  // conflict `answer_not_kept` (the key's first call has ended, and is not kept any more), exhausted
  // `backlog_full` (not for a key that is known), unavailable `queue_unavailable`, not_found
  // `function_not_found` when it was forgotten.
  virtual void enqueue(Submission submission, Done<Accepted> done) = 0;

  // Takes the next invocation of this turn of a function that `may_run`: of those in line, spaces in turn,
  // functions of a space in turn, of a function the one that has been due for longest; of the others the
  // oldest. False when there is none, then `done` is not called. `done` fails when the invocation could not
  // be read (it is tried again later) or was settled meanwhile (not_found).
  virtual bool take(Turn turn, const MayRun& may_run, Duration lease, Done<Lease> done) = 0;
  // The function may be able to run again.
  virtual void wake(const std::string& function_id) = 0;
  // Fails with conflict `stale_receipt`.
  virtual Status renew(const Receipt& receipt, Duration lease) = 0;
  // Ends the attempt. Until it is on disk the lease holds, and writing is tried again and again. Fails with
  // conflict `stale_receipt` only.
  virtual void settle(const Receipt& receipt, Settlement settlement, Done<void> done) = 0;
  // A fault of the platform: as if it had not been taken, but not again before `pause` has passed. It keeps
  // its place among those that are due.
  virtual void give_back(const Receipt& receipt, Duration pause) = 0;

  // Ends a queued or running one as cancelled. Fails with not_found `invocation_not_found`, conflict
  // `already_ended`.
  virtual void cancel(const std::string& function_id, const std::string& id, Done<void> done) = 0;
  // Queues a failed or expired one again with fresh attempts. Fails with not_found `invocation_not_found`,
  // conflict `not_failed`, exhausted `backlog_full`, not_found `function_not_found` when it was forgotten.
  virtual void redrive(const std::string& function_id, const std::string& id, const Redrive& terms,
                       Done<void> done) = 0;
  // The function is gone: what waits for it is cancelled, reason `function_deleted`, without `on_settled`.
  virtual void forget(const std::string& function_id) = 0;

  virtual Depth depth(const std::string& function_id) const = 0;
};

}  // namespace sterna::queue
