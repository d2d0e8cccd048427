// Between rows and values.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "net/body.h"
#include "queue/outbox.h"
#include "queue/record.h"
#include "queue/sqlite/schema.h"
#include "store/statement.h"

namespace sterna::queue::sqlite {

inline std::int64_t to_millis(WallTime time) {
  return time.time_since_epoch().count();
}
inline WallTime from_millis(std::int64_t millis) {
  return WallTime(std::chrono::milliseconds(millis));
}

State state_of(StoredState stored);
StoredState stored_of(State settled);

// One entry of the columns `attempts` and `deliveries`: a JSON object and a comma.
std::string attempt_text(const Attempt& attempt);
std::string delivery_text(const DeliveryAttempt& delivery);

// The columns that read_record wants, in order.
inline constexpr std::string_view kRecordColumns =
    "seq, id, state, created_at, not_before, started_at, ended_at, version, status, reason, delivery,"
    " callback_url, attempts, deliveries";
Record read_record(const store::Statement& row, const FunctionName& function);

// What a run needs.
struct Loaded {
  std::string id;
  std::string request;
  net::Body body;
  std::int64_t max_attempts = 0;
  std::int64_t spent = 0;
  std::int64_t attempt_count = 0;
  std::string callback_url;
  std::int64_t created_at = 0;  // milliseconds

  std::size_t bytes() const { return request.size() + body.memory().size() + id.size(); }
};
// Fails with not_found when it is settled or gone.
Result<Loaded> load_request(store::Database& database, std::uint64_t seq, net::BodyBudget& budget);

// Whether a body stands in its row, not in `parts`.
bool is_inline(const net::Body& body);
Status write_parts(store::Database& database, std::uint64_t seq, PartKind kind, const net::Body& body);
Status delete_parts(store::Database& database, std::uint64_t seq, PartKind kind);

// Reads stored answers from whatever thread sends them; a connection of its own, one reader at a time.
class PartSource {
 public:
  explicit PartSource(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  Result<std::size_t> read(std::uint64_t seq, std::uint64_t offset, std::size_t limit, std::string& out);

 private:
  std::mutex mutex_;
  std::unique_ptr<store::Database> database_;  // guarded by mutex_
};

// `source` outlives the queue's end when a callback is still being sent: shared.
std::unique_ptr<AnswerReader> stored_body(std::shared_ptr<PartSource> source, std::uint64_t seq,
                                          std::uint64_t size);
std::unique_ptr<AnswerReader> small_body(std::string bytes);

}  // namespace sterna::queue::sqlite
