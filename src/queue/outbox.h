// The durable outbox: callbacks that have to be sent, each with its own schedule.
#pragma once

#include "queue/lease_queue.h"

namespace sterna::queue {

// Reads the stored body of an answer piece by piece, any thread.
class AnswerReader {
 public:
  virtual ~AnswerReader() = default;
  virtual std::uint64_t size() const = 0;
  // Answers how many bytes were read, 0 at the end.
  virtual Result<std::size_t> read(std::uint64_t offset, std::size_t limit, std::string& out) = 0;
};

// One callback to send now.
struct DueDelivery {
  std::uint64_t seq = 0;
  FunctionName function;
  std::string id;
  std::string callback_url;
  int status_code = 0;
  std::int64_t attempt = 0;  // of the run that gave the answer
  WallTime started_at;
  Duration duration{};     // of that run
  std::int64_t tried = 0;  // deliveries that were tried, since it was settled or redelivered
  // When it was settled or redelivered, or this server began: its patience counts from then, whatever the
  // wall clock does.
  MonotonicTime since{};
  std::uint32_t header_count = 0;
  std::string headers;
  std::string body;                     // a small one whole
  std::unique_ptr<AnswerReader> large;  // a large one
};

// What came of it. `again_at`: it is tried again then; how far that is ahead counts from now, whatever the
// wall clock does meanwhile.
struct DeliveryEnd {
  std::optional<DeliveryAttempt> tried;  // none: it was not sent at all, which costs no try
  std::optional<WallTime> again_at;
  Delivery end = Delivery::kDelivered;
};

// On the loop's thread.
class Outbox {
 public:
  virtual ~Outbox() = default;
  // `wanted` is called when something is due.
  virtual void on_due(std::function<void()> wanted) = 0;
  // Takes the delivery that is due for longest; false when none is due. Nobody else gets it until `end`.
  virtual bool take_delivery(Done<DueDelivery> done) = 0;
  virtual void end_delivery(std::uint64_t seq, DeliveryEnd end) = 0;
  // Sends a settled one's callback again. Fails with not_found `invocation_not_found`, conflict `not_ended`,
  // `no_callback` (a cancelled one has none).
  virtual void redeliver(const std::string& function_id, const std::string& id, Done<void> done) = 0;
  virtual std::size_t pending_deliveries() const = 0;
};

}  // namespace sterna::queue
